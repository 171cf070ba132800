"""Leaving regions out: how much context it lets in, and what it discounts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from gatekeeper.calibrators.left_out import RIDGES, Discount, chosen
from gatekeeper.errors import InputError


def in_regions(rng, n=3_000, n_regions=8, width=3):
    """Contexts in regions that lie apart along their coordinates."""
    centres = 2.0 * rng.normal(size=(n_regions, width))
    region = rng.integers(0, n_regions, n)
    return centres[region] + 0.3 * rng.normal(size=(n, width)), region


def test_context_that_means_the_same_everywhere_is_let_in(rng):
    points, _ = in_regions(rng)
    scores = rng.normal(size=3_000)
    z = 1.5 * scores + 0.8 * np.clip(points[:, 0], -3.0, 3.0)
    ridge, _ = chosen(scores, points, rng.random(3_000) < special.expit(z), seed=0)
    assert ridge <= 100.0


def test_context_that_means_nothing_stays_out(rng):
    points, _ = in_regions(rng)
    scores = rng.normal(size=3_000)
    ridge, discount = chosen(scores, points, rng.random(3_000) < special.expit(scores), seed=0)
    assert ridge >= 10_000.0
    assert discount.lower < 0.15
    assert discount.shrink < 0.3


def test_context_that_means_something_else_in_every_region_is_held_back(rng):
    """Every region has its own height, unrelated to where it lies: nothing to learn elsewhere."""
    points, region = in_regions(rng)
    scores = rng.normal(size=3_000)
    z = 2.0 * scores + np.array([1.5, -1.5, 1.5, -1.5, 1.5, -1.5, 1.5, -1.5])[region]
    ridge, discount = chosen(scores, points, rng.random(3_000) < special.expit(z), seed=0)
    assert ridge > min(RIDGES)
    assert discount.shrink > 0.0


def test_what_lies_beyond_is_discounted_where_it_is_worse(rng):
    """All rows at one place, but for a few far off, which are half as often right as they look."""
    points = 0.3 * rng.normal(size=(2_000, 2))
    off = np.arange(2_000) % 10 == 0
    points[off] += rng.choice([-4.0, 4.0], size=(200, 2))
    scores = rng.normal(1.5, 1.0, 2_000)
    z = np.where(off, -1.0, 2.0 * scores)
    _, discount = chosen(scores, points, rng.random(2_000) < special.expit(z), seed=0)
    assert discount.shrink + discount.lower > 0.3


def test_contexts_that_are_one_region_leave_nothing_to_leave_out():
    found = chosen(np.arange(50.0), np.ones((50, 1)), np.arange(50) > 20, seed=0)
    assert found == (np.inf, Discount(shrink=0.0, lower=0.0))


def test_it_is_repeatable(rng):
    points, _ = in_regions(rng, n=600)
    scores = rng.normal(size=600)
    correct = rng.random(600) < special.expit(scores + points[:, 0])
    assert chosen(scores, points, correct, seed=3) == chosen(scores, points, correct, seed=3)


def test_a_discount_by_hand():
    discount = Discount(shrink=1.0, lower=0.5)
    found = discount(np.array([2.0, 2.0, -2.0, 2.0]), np.array([0.0, 1.0, 1.0, 99.0]))
    np.testing.assert_allclose(found, [2.0, 1.0 - 0.5, -1.0 - 0.5, 0.5 - 1.5])


def test_a_discount_that_rewards_the_unknown_is_refused():
    for shrink, lower in ((-0.1, 0.0), (0.0, -0.1)):
        with pytest.raises(InputError, match="discounts must be at least 0"):
            Discount(shrink=shrink, lower=lower)
