"""Coordinates, distances and regions by hand, against numpy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from gatekeeper.calibrators.surroundings import Coordinates, Surroundings, regions
from gatekeeper.errors import InputError


def test_coordinates_are_whitened_principal_components(rng):
    context = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)) * [1.0, 10.0, 0.1, 3.0, 1.0] + 7.0
    standardised = (context - context.mean(axis=0)) / context.std(axis=0)
    assert np.abs(standardised).max() < 5.0  # nothing is clamped here
    theirs = PCA(whiten=True).fit_transform(standardised) * np.sqrt(400 / 399)
    ours = Coordinates.of(context)(context)
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours * signs, theirs, atol=1e-8)
    np.testing.assert_allclose(ours.T @ ours / 400, np.eye(5), atol=1e-8)


def test_collinear_and_constant_columns_give_no_coordinate(rng):
    column = rng.normal(size=(100, 1))
    context = np.hstack([column, 3.0 * column + 1.0, np.full((100, 1), 0.1)])
    coordinates = Coordinates.of(context)
    assert coordinates(context).shape == (100, 1)
    moved = context + np.array([0.0, 0.0, 50.0])
    np.testing.assert_array_equal(coordinates(moved), coordinates(context))


def test_a_single_column_cannot_carry_a_context_off(rng):
    context = rng.normal(size=(200, 3))
    coordinates = Coordinates.of(context)
    far, further = coordinates(np.array([[1e3, 0.0, 0.0], [1e9, 0.0, 0.0]]))
    np.testing.assert_array_equal(far, further)
    assert np.abs(far).max() < 10.0


def test_at_most_forty_coordinates_the_leading_ones(rng):
    context = rng.normal(size=(500, 60))
    context[:, 1] = context[:, 0] + 0.1 * rng.normal(size=500)
    coordinates = Coordinates.of(context)
    assert coordinates(context).shape == (500, 40)
    first = np.abs(coordinates.axes[:, 0])
    assert set(np.argsort(first)[-2:]) == {0, 1}


def test_unused_coordinates_still_count_columns():
    assert Coordinates.unused(3)(np.zeros((2, 3))).shape == (2, 0)
    with pytest.raises(InputError, match="with the 3 columns of fit, got 2"):
        Coordinates.unused(3)(np.zeros((2, 2)))


def test_excess_by_hand():
    """Ten points at 0 are remembered, ten at 0…9 are the others: their 95 % quantile is 8.55."""
    points = np.zeros((20, 1))
    order = np.random.default_rng(4).permutation(20)
    points[order[10:], 0] = np.arange(10.0)
    seen = Surroundings.of(points, seed=4)
    assert seen.ordinary == pytest.approx(8.55)
    np.testing.assert_allclose(
        seen.excess(np.array([[8.55], [17.1], [-25.65]])), [0.0, 1.0, 2.0], atol=1e-12
    )


def test_distances_are_those_of_scikit_learn(rng):
    points, fresh = rng.normal(size=(300, 6)), 2.0 * rng.normal(size=(300, 6))
    seen = Surroundings.of(points, seed=0)
    assert seen.references.shape == (150, 6)
    nearest = NearestNeighbors(n_neighbors=5).fit(seen.references)
    expected = nearest.kneighbors(fresh)[0][:, -1] / seen.ordinary - 1.0
    np.testing.assert_allclose(seen.excess(fresh), np.maximum(expected, 0.0), atol=1e-9)


def test_about_one_in_twenty_of_the_same_kind_has_an_excess(rng):
    seen = Surroundings.of(rng.normal(size=(3_000, 4)), seed=1)
    assert np.mean(seen.excess(rng.normal(size=(3_000, 4))) > 0.0) == pytest.approx(0.05, abs=0.02)


def test_points_that_all_tie_are_ordinary():
    seen = Surroundings.of(np.zeros((20, 2)), seed=0)
    assert seen.excess(np.zeros((1, 2))) == 0.0
    assert seen.excess(np.ones((1, 2)))[0] > 1e6


def test_regions_are_the_groups_that_lie_together(rng):
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    truth = rng.integers(0, 3, 150)
    found = regions(centres[truth] + rng.normal(size=(150, 2)), 3, seed=0)
    assert len({*zip(found.tolist(), truth.tolist(), strict=True)}) == 3


def test_fewer_different_points_than_regions():
    points = np.repeat([[0.0], [5.0]], 4, axis=0)
    found = regions(points, 6, seed=0)
    assert len(np.unique(found)) == 2
    assert len(np.unique(found[:4])) == 1
    assert regions(np.ones((3, 2)), 4, seed=0).tolist() == [0, 0, 0]
