"""How far stated reliabilities are from what happens: ECE, Brier, NLL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from gatekeeper.metrics.binning import Binning, bin_means, bin_of_row
from gatekeeper.metrics.inputs import check_confidence_level, reliability_and_correct
from gatekeeper.metrics.proportions import exact_proportion_interval
from gatekeeper.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReliabilityBins:
    """The points of a reliability diagram; bins without rows are left out.

    Attributes:
        mean_reliability: Shape (M,), mean stated reliability of the bin, in [0, 1].
        accuracy: Shape (M,), share of right answers in the bin, in [0, 1].
        count: Shape (M,), rows in the bin, at least 1.
        low: Shape (M,), lower end of the exact two-sided interval of the accuracy.
        high: Shape (M,), upper end of it.
    """

    mean_reliability: FloatArray
    accuracy: FloatArray
    count: IntArray
    low: FloatArray
    high: FloatArray


def expected_calibration_error(
    reliability: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    n_bins: int = 15,
    binning: Binning = "width",
) -> float:
    """Average gap between stated reliability and observed accuracy.

    Args:
        reliability: Stated probability of being correct, shape (N,), in [0, 1].
        correct: Whether the classifier was right, boolean, shape (N,).
        n_bins: Number of bins, at least 1.
        binning: ``"width"``: equal-width bins, closed below, the last also closed at 1.0.
            ``"mass"``: bins of N / n_bins rows by rank; equal reliabilities share a bin.

    Returns:
        ECE in [0, 1]; 0 is perfect. Biased upward for small N: quote n_bins and N with it.

    Raises:
        InputError: shapes differ, N is 0, a reliability is outside [0, 1] or NaN, correct is not
            boolean, n_bins is below 1, or the binning is unknown.

    Example:
        >>> round(expected_calibration_error([0.95, 1.0], [True, False]), 3)
        0.475

    Source:
        Guo et al. 2017, eq. 3 (arXiv:1706.04599). Deviates in the closed last bin.
    """
    values, right = reliability_and_correct(reliability, correct)
    mean, accuracy, count = bin_means(values, right, bin_of_row(values, n_bins, binning))
    return float(np.sum(count * np.abs(mean - accuracy)) / len(values))


def debiased_calibration_error(
    reliability: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    n_bins: int = 15,
    binning: Binning = "width",
) -> float:
    """Calibration error less the upward bias that it owes to a finite sample.

    From each bin's gap |d| it takes E|Z| - |d| with Z ~ N(d, p (1 - p) / n), p the bin's accuracy
    and n its rows. Of the bias of a perfectly calibrated bin it removes about 0.4, so it stays
    pessimistic; the small bias of a large gap goes almost entirely.

    Args:
        reliability: Stated probability of being correct, shape (N,), in [0, 1].
        correct: Whether the classifier was right, boolean, shape (N,).
        n_bins: As in :func:`expected_calibration_error`.
        binning: As in :func:`expected_calibration_error`.

    Returns:
        In [0, 1], 0 is perfect, never above the plain error. A bin that is all right or all wrong
        (so any bin of one row) shows no spread and is not corrected.

    Raises:
        InputError: as :func:`expected_calibration_error`.

    Source:
        Kumar et al. 2019, section 5 (arXiv:1909.10155), for the L1 error. Deviates in the folded
        normal's closed form where they sample, and in the cut at 0.
    """
    values, right = reliability_and_correct(reliability, correct)
    mean, accuracy, count = bin_means(values, right, bin_of_row(values, n_bins, binning))
    gap = np.abs(mean - accuracy)
    spread = np.sqrt(accuracy * (1.0 - accuracy) / count)
    corrected = 2.0 * gap - _folded_normal_mean(gap, spread)
    return max(0.0, float(np.sum(count * corrected) / len(values)))


def brier_score(reliability: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Mean squared difference between reliability and outcome.

    Args:
        reliability: Stated probability of being correct, shape (N,), in [0, 1].
        correct: Whether the classifier was right, boolean, shape (N,).

    Returns:
        In [0, 1], lower is better; 0.25 for a constant 0.5.

    Raises:
        InputError: shapes differ, N is 0, a reliability is outside [0, 1] or NaN, or correct is
            not boolean.

    Example:
        >>> brier_score([0.5, 1.0], [True, True])
        0.125

    Source:
        Brier 1950, for the binary event "the answer is right".
    """
    values, right = reliability_and_correct(reliability, correct)
    return float(np.mean(np.square(values - right)))


def negative_log_likelihood(reliability: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Mean of -ln of the probability given to what happened.

    Args:
        reliability: Stated probability of being correct, shape (N,), in [0, 1].
        correct: Whether the classifier was right, boolean, shape (N,).

    Returns:
        In nats, at least 0, lower is better; infinite where a stated 0 or 1 was wrong. Nothing is
        clipped: certainty that fails costs everything.

    Raises:
        InputError: shapes differ, N is 0, a reliability is outside [0, 1] or NaN, or correct is
            not boolean.

    Example:
        >>> round(negative_log_likelihood([0.5, 0.5], [True, False]), 4)
        0.6931
    """
    values, right = reliability_and_correct(reliability, correct)
    logs = np.where(right, special.xlogy(1.0, values), special.xlog1py(1.0, -values))
    return abs(float(np.mean(logs)))


def reliability_bins(
    reliability: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    n_bins: int = 15,
    binning: Binning = "width",
    confidence_level: float = 0.95,
) -> ReliabilityBins:
    """Stated reliability against observed accuracy, bin by bin, for a diagram.

    Args:
        reliability: Stated probability of being correct, shape (N,), in [0, 1].
        correct: Whether the classifier was right, boolean, shape (N,).
        n_bins: As in :func:`expected_calibration_error`.
        binning: As in :func:`expected_calibration_error`.
        confidence_level: Two-sided level of each bin's own interval, in (0, 1).

    Returns:
        The bins that hold rows, from low to high reliability.

    Raises:
        InputError: as :func:`expected_calibration_error`, or the level is outside (0, 1).
    """
    check_confidence_level(confidence_level)
    values, right = reliability_and_correct(reliability, correct)
    mean, accuracy, count = bin_means(values, right, bin_of_row(values, n_bins, binning))
    n_right = np.rint(accuracy * count).astype(np.int64)
    ends = np.array(
        [
            exact_proportion_interval(int(k), int(n), confidence_level)
            for k, n in zip(n_right, count, strict=True)
        ]
    )
    return ReliabilityBins(
        mean_reliability=mean, accuracy=accuracy, count=count, low=ends[:, 0], high=ends[:, 1]
    )


def _folded_normal_mean(gap: FloatArray, spread: FloatArray) -> FloatArray:
    """E|Z| for Z ~ N(gap, spread²), gap at least 0; |gap| itself where the spread is 0."""
    ratio = np.divide(gap, spread, out=np.full_like(gap, np.inf), where=spread > 0.0)
    density = np.sqrt(2.0 / np.pi) * np.exp(-np.square(ratio) / 2.0)
    folded: FloatArray = spread * density + gap * (1.0 - 2.0 * special.ndtr(-ratio))
    return folded
