"""Nearest-neighbour score by hand and against scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from gatekeeper.errors import InputError
from gatekeeper.reliability import NearestNeighbours
from tests.contracts.predictor import StoredPredictorContract
from tests.reliability.test_mahalanobis import evidence_with, looks_with_features


class TestContract(StoredPredictorContract):
    def build(self):
        return NearestNeighbours()

    def looks(self, n, *, seed=11):
        evidence, labels = looks_with_features(n, seed=seed)
        return replace(evidence, features=evidence.features - np.float32(100.0)), labels


def test_values_by_hand():
    """Directions right, up, left: from 45° the distances are 2 sin 22.5° twice, 2 sin 67.5°."""
    fit = evidence_with([[3.0, 0.0], [0.0, 0.1], [-7.0, 0.0]])
    labels = np.zeros(3, dtype=int)
    look = evidence_with([[5.0, 5.0], [1e-200, 0.0], [-1e200, 0.0]])
    near, far = 2.0 * np.sin(np.pi / 8), 2.0 * np.sin(3 * np.pi / 8)
    for neighbour, expected in (
        (1, [near, 0.0, 0.0]),
        (2, [near, np.sqrt(2.0), np.sqrt(2.0)]),
        (3, [far, 2.0, 2.0]),
    ):
        scores = NearestNeighbours(neighbour=neighbour).fit(fit, labels).score(look)
        np.testing.assert_allclose(scores, -np.array(expected), atol=1e-6)


@pytest.mark.parametrize("neighbour", [1, 5, 50])
def test_values_against_scikit_learn(rng, neighbour):
    fit, fresh = rng.normal(size=(700, 64)), rng.normal(size=(600, 64))
    ours = NearestNeighbours(neighbour=neighbour).fit(evidence_with(fit), np.zeros(700, dtype=int))
    theirs = NearestNeighbors(n_neighbors=neighbour).fit(
        fit / np.linalg.norm(fit, axis=1, keepdims=True)
    )
    distances, _ = theirs.kneighbors(fresh / np.linalg.norm(fresh, axis=1, keepdims=True))
    np.testing.assert_allclose(ours.score(evidence_with(fresh)), -distances[:, -1], atol=3e-6)


def test_a_look_of_the_fit_is_its_own_first_neighbour(rng):
    evidence = evidence_with(rng.normal(size=(40, 16)))
    ours = NearestNeighbours(neighbour=1).fit(evidence, np.zeros(40, dtype=int))
    np.testing.assert_array_equal(ours.score(evidence), 0.0)


def test_the_length_of_features_does_not_matter(rng):
    fit, fresh = rng.normal(size=(50, 8)), rng.normal(size=(20, 8))
    ours = NearestNeighbours().fit(evidence_with(fit), np.zeros(50, dtype=int))
    np.testing.assert_allclose(
        ours.score(evidence_with(fresh * np.geomspace(1e-3, 1e3, 20)[:, None])),
        ours.score(evidence_with(fresh)),
        atol=1e-6,
    )


def test_features_of_zero_lie_at_distance_one_from_every_direction(rng):
    fit = rng.normal(size=(30, 8))
    fit[:2] = 0.0
    ours = NearestNeighbours(neighbour=3).fit(evidence_with(fit), np.zeros(30, dtype=int))
    assert ours.score(evidence_with(np.zeros((1, 8)))) == pytest.approx([-1.0], abs=1e-6)


def test_more_looks_than_are_remembered_are_thinned_out_by_the_seed(rng):
    evidence, labels = evidence_with(rng.normal(size=(300, 8))), np.zeros(300, dtype=int)
    first, again, other = (
        NearestNeighbours(n_references=100, seed=seed).fit(evidence, labels) for seed in (1, 1, 2)
    )
    assert first.references_.shape == (100, 8)
    np.testing.assert_array_equal(first.references_, again.references_)
    assert not np.array_equal(first.references_, other.references_)


def test_too_few_looks_for_a_neighbour_are_refused(rng):
    with pytest.raises(InputError, match="at least 10 looks, one per neighbour, got 9"):
        NearestNeighbours().fit(evidence_with(rng.normal(size=(9, 4))), np.zeros(9, dtype=int))


@pytest.mark.parametrize(("neighbour", "n_references"), [(0, 5), (6, 5)])
def test_options_that_name_no_neighbour_are_refused(neighbour, n_references):
    with pytest.raises(InputError, match="1 <= neighbour <= n_references"):
        NearestNeighbours(neighbour=neighbour, n_references=n_references)


def test_evidence_without_the_features_of_fit_is_refused(rng):
    ours = NearestNeighbours().fit(evidence_with(rng.normal(size=(20, 4))), np.zeros(20, dtype=int))
    with pytest.raises(InputError, match="nearest-neighbour score reads the classifier's features"):
        ours.score(replace(evidence_with(np.zeros((1, 4))), features=None))
    with pytest.raises(InputError, match="with the 4 columns of fit, got 3"):
        ours.score(evidence_with(np.ones((1, 3))))
