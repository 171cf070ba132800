"""Pools: weights count like repeated rows."""

from __future__ import annotations

import numpy as np

from gatekeeper.calibrators.pools import pools


def test_a_weight_of_two_counts_like_two_rows() -> None:
    rng = np.random.default_rng(0)
    scores, correct = rng.normal(size=60), rng.random(60) < 0.6
    times = rng.integers(1, 4, 60)
    weighted = pools(scores, correct, times.astype(float))
    repeated = pools(np.repeat(scores, times), np.repeat(correct, times))
    for ours, theirs in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_by_hand() -> None:
    """Weighted shares 1/4 and 3/4 stand; the violating pair in between is pooled to 2/4."""
    scores = np.array([0.0, 0.0, 1.0, 2.0, 3.0, 3.0])
    correct = np.array([True, False, True, False, True, False])
    weights = np.array([1.0, 3.0, 2.0, 2.0, 3.0, 1.0])
    centres, shares = pools(scores, correct, weights)
    np.testing.assert_allclose(centres, [0.0, 1.5, 3.0])
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.75])
