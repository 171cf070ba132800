"""Metrics under redraws of whole images, fast enough for half a million rows.

A bootstrap over images changes how often a row counts, never its score; so rows are sorted and
binned once, and a redraw is a sum of weights. The values equal those of ``gatekeeper.metrics`` on
the redrawn rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from gatekeeper.metrics.binning import bin_of_row
from gatekeeper.types import BoolArray, FloatArray, IntArray

N_BINS = 15
_LEVEL = 0.95
_FAR = 30.0


def redraws(n_images: int, *, n_draws: int, seed: int) -> IntArray:
    """How often each image counts in each redraw, shape (R, N), rows sum to N."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(n_images, size=(n_draws, n_images))
    return np.stack([np.bincount(draw, minlength=n_images) for draw in chosen]).astype(np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its two-sided 95 % interval; None where it is not defined.

    Attributes:
        value: On the images as they are.
        low: Lower end.
        high: Upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def estimate(
    value: float, draws: FloatArray, *, lowest: float = 0.0, highest: float = 1.0
) -> Estimate:
    """The interval that redraws give: each end the more pessimistic of percentile and basic.

    Args:
        value: On the images as they are.
        draws: The redrawn values, shape (R,); redraws in which it was not defined are NaN.
        lowest: Ends are cut there.
        highest: Ends are cut there.
    """
    defined = draws[np.isfinite(draws)]
    if not len(defined):
        return Estimate(value=value)
    tail = (1.0 - _LEVEL) / 2.0
    low, high = (float(end) for end in np.quantile(defined, [tail, 1.0 - tail]))
    return Estimate(
        value=value,
        low=max(lowest, min(low, 2.0 * value - high)),
        high=min(highest, max(high, 2.0 * value - low)),
    )


class Ranking:
    """Rows sorted by score once, for any weights of their images.

    Args:
        scores: Shape (S, N): S conditions of N images, higher is more reliable.
        correct: Whether each answer is right, shape (S, N).
    """

    METRICS = ("failure_auroc", "aurc", "augrc", "coverage_at_risk")

    def __init__(self, scores: FloatArray, correct: BoolArray) -> None:
        flat = scores.ravel()
        order = np.argsort(-flat, kind="stable")
        self._image = (order % scores.shape[1]).astype(np.int32)
        self._wrong = ~correct.ravel()[order]
        # The last row of each tie: a threshold accepts a tie together.
        self._ends = np.append(np.flatnonzero(np.diff(flat[order]) != 0), len(flat) - 1)

    def measure(self, times: IntArray, target_risk: float) -> dict[str, float]:
        """The metrics where image i counts ``times[i]`` times, shape (N,).

        Args:
            times: Whole numbers of at least 0, not all 0.
            target_risk: Of the coverage at risk, in [0, 1].

        Returns:
            By name; the failure AUROC is NaN where nothing is right or nothing wrong.
        """
        weight = times[self._image]
        accepted = np.cumsum(weight)[self._ends]
        wrong = np.cumsum(np.where(self._wrong, weight, 0))[self._ends]
        total, errors = int(accepted[-1]), int(wrong[-1])
        some = accepted > 0
        risk = wrong[some] / accepted[some]
        entered = np.diff(accepted, prepend=0)
        heights = wrong + np.concatenate([[0], wrong[:-1]])
        augrc = float(entered @ heights) / (2.0 * total**2)
        share = errors / total
        spread = share * (1.0 - share)
        reached = accepted[some][risk <= target_risk]
        return {
            "aurc": float(entered[some] @ risk) / total,
            "augrc": augrc,
            # The identity of both areas; exact with ties.
            "failure_auroc": 1.0 - (augrc - share**2 / 2.0) / spread if spread else np.nan,
            "coverage_at_risk": float(reached[-1]) / total if len(reached) else 0.0,
        }


class StatedBins:
    """Sums per image and bin of stated reliability, for any weights of the images.

    Args:
        stated: Stated reliability, shape (S, N), in [0, 1].
        correct: Whether each answer is right, shape (S, N).
    """

    def __init__(self, stated: FloatArray, correct: BoolArray) -> None:
        n_images = stated.shape[1]
        bins = bin_of_row(stated.ravel(), N_BINS, "width").reshape(stated.shape)
        cell = (bins + np.arange(n_images) * N_BINS).ravel()

        def per_image(weights: FloatArray | None) -> FloatArray:
            sums = np.bincount(cell, weights=weights, minlength=n_images * N_BINS)
            return sums.reshape(n_images, N_BINS).astype(np.float64)

        self._stated = per_image(stated.ravel())
        self._right = per_image(correct.ravel().astype(np.float64))
        self._count = per_image(None)
        self._squares = np.square(stated - correct).sum(axis=0)

    def measure(self, times: IntArray) -> dict[str, FloatArray]:
        """ECE, debiased ECE and Brier score of each redraw, shape (R,) each.

        Args:
            times: How often each image counts in each redraw, shape (R, N).
        """
        weights = times.astype(np.float64)
        stated, right, count = weights @ self._stated, weights @ self._right, weights @ self._count
        total = count.sum(axis=1)
        filled = np.maximum(count, 1.0)
        accuracy = right / filled
        gap = np.abs(stated - right) / filled
        spread = np.sqrt(np.clip(accuracy * (1.0 - accuracy), 0.0, None) / filled)
        # Far from 0 a folded normal is not folded: its mean is the gap itself.
        near = gap < _FAR * spread
        kept = np.where(near, spread, 1.0)
        expected = np.where(near, stats.foldnorm.mean(np.where(near, gap, 0) / kept) * kept, gap)
        debiased = np.maximum(0.0, (count * (2.0 * gap - expected)).sum(axis=1) / total)
        return {
            "ece": (count * gap).sum(axis=1) / total,
            "ece_debiased": debiased,
            "brier": weights @ self._squares / total,
        }
