"""Bins over stated reliabilities: which row falls where, and what each bin states and shows."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import check_at_least_one
from gatekeeper.types import BoolArray, FloatArray, IntArray

Binning: TypeAlias = Literal["width", "mass"]


def bin_of_row(values: FloatArray, n_bins: int, binning: str) -> IntArray:
    """The bin of each row.

    Args:
        values: Stated reliabilities, shape (N,), in [0, 1].
        n_bins: Number of bins, at least 1.
        binning: ``"width"``: equal-width bins, closed below, the last also closed at 1.0.
            ``"mass"``: bins of N / n_bins rows by rank; equal values share a bin.

    Returns:
        Shape (N,), in 0…n_bins−1.

    Raises:
        InputError: n_bins is below 1, or the binning is unknown.
    """
    check_at_least_one(n_bins, name="n_bins")
    if binning == "width":
        # Edges by division, so that 0.29 falls on the edge 29/100 and not just below 0.29 * 100.
        edges = np.arange(1, n_bins) / n_bins
        return np.asarray(np.searchsorted(edges, values, side="right"))
    if binning == "mass":
        # Rows with equal reliability have the same number of rows below them: one bin for all.
        below = np.searchsorted(np.sort(values), values, side="left")
        return np.asarray(below * n_bins // len(values))
    raise InputError(f'binning must be "width" or "mass", got {binning!r}')


def bin_means(
    values: FloatArray, right: BoolArray, bins: IntArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Mean reliability, accuracy and count of the bins that hold rows, (M,) each."""
    count = np.bincount(bins)
    filled = count > 0
    stated = np.bincount(bins, weights=values)[filled]
    n_right = np.bincount(bins, weights=right)[filled]
    return stated / count[filled], n_right / count[filled], count[filled]
