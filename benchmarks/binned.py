"""The binned calibration error of one cell in every redraw of its images, by a matrix product."""

from __future__ import annotations

import numpy as np
from scipy import special

from gatekeeper.types import BoolArray, FloatArray

N_BINS = 15


def redrawn_errors(
    reliability: FloatArray, correct: BoolArray, times: FloatArray, *, debiased: bool
) -> FloatArray:
    """Calibration error in 15 equal-width bins, in each of M redraws.

    Args:
        reliability: Shape (n,), in [0, 1], one row per image.
        correct: Whether each answer was right, shape (n,).
        times: How often each image occurs in each redraw, shape (M, n).
        debiased: Whether the bias of a finite sample is taken off.

    Returns:
        Shape (M,): what :func:`gatekeeper.metrics.expected_calibration_error`, or its debiased
        form, gives for the redrawn rows.
    """
    values = np.asarray(reliability, dtype=np.float64)
    # Edges by division, as the metrics have them.
    bins = np.searchsorted(np.arange(1, N_BINS) / N_BINS, values, side="right")
    member = np.eye(N_BINS)[bins]
    sums = times.astype(np.float64) @ np.hstack(
        [member, member * values[:, None], member * correct[:, None]]
    )
    count, stated, right = np.split(sums, 3, axis=1)
    gap = np.abs(stated - right)
    if debiased:
        accuracy = np.divide(right, count, out=np.zeros_like(right), where=count > 0)
        spread = np.sqrt(np.maximum(count * accuracy * (1.0 - accuracy), 0.0))
        gap = 2.0 * gap - _folded_normal_mean(gap, spread)
    return np.asarray(np.maximum(gap.sum(axis=1) / count.sum(axis=1), 0.0))


def _folded_normal_mean(gap: FloatArray, spread: FloatArray) -> FloatArray:
    """E|Z| for Z ~ N(gap, spread²), gap at least 0; the gap itself where nothing spreads."""
    ratio = np.divide(gap, spread, out=np.full_like(gap, np.inf), where=spread > 0.0)
    folded = gap * special.erf(ratio / np.sqrt(2.0))
    return np.asarray(folded + spread * np.sqrt(2.0 / np.pi) * np.exp(-(ratio**2) / 2.0))
