"""Pools of adjacent violators: what isotonic calibration is made of."""

from __future__ import annotations

import numpy as np
from scipy import optimize

from gatekeeper.calibrators.inputs import Float64Array
from gatekeeper.calibrators.shares import without_certainty
from gatekeeper.types import BoolArray


def pools(
    scores: Float64Array, correct: BoolArray, weights: Float64Array | None = None
) -> tuple[Float64Array, Float64Array]:
    """Centre and share of right answers of every pool of adjacent violators.

    Args:
        scores: Shape (N,), N at least 1.
        correct: Shape (N,).
        weights: Shape (N,), above 0: how much each answer counts; 1 each by default.

    Returns:
        Strictly rising centres, shape (M,), and non-decreasing shares, shape (M,), in (0, 1).

    Source:
        Centres of pools: Oron & Flournoy 2017 (arXiv:1701.05964).
    """
    counted = np.ones(len(scores)) if weights is None else weights
    distinct, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place, weights=counted)
    n_right = np.bincount(place, weights=correct * counted)
    # Weights that sum in another order may leave a share a rounding above 1.
    found = optimize.isotonic_regression(np.minimum(n_right / counts, 1.0), weights=counts)
    first = found.blocks[:-1]
    sizes = np.add.reduceat(counts, first)
    right = np.minimum(np.add.reduceat(n_right, first), sizes)
    centres = np.add.reduceat(distinct * counts, first) / sizes
    # Rounding must not carry a centre out of its pool: centres rise because pools do not overlap.
    centres = np.clip(centres, distinct[first], distinct[found.blocks[1:] - 1])
    return centres, np.maximum.accumulate(without_certainty(right, sizes))
