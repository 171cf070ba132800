"""How far stated reliabilities are from what happens: ECE family, Brier, NLL, noise floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import (
    check_confidence_level,
    correct_array,
    reliability_array,
)
from gatekeeper.metrics.selective import exact_proportion_interval
from gatekeeper.types import BoolArray, FloatArray, IntArray

Binning: TypeAlias = Literal["width", "mass"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """The calibration error that a perfectly calibrated predictor would show on this sample.

    Attributes:
        mean: Mean over the redrawn labels, in [0, 1].
        p95: 95th percentile; an observed error above it is more than noise.
    """

    mean: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and a two-sided interval.

    Attributes:
        value: The estimate on the sample as it is.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


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
    values, right = _reliability_and_correct(reliability, correct)
    mean, accuracy, count = _bin_means(values, right, _bin_of_row(values, n_bins, binning))
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
    values, right = _reliability_and_correct(reliability, correct)
    mean, accuracy, count = _bin_means(values, right, _bin_of_row(values, n_bins, binning))
    gap = np.abs(mean - accuracy)
    spread = np.sqrt(accuracy * (1.0 - accuracy) / count)
    corrected = 2.0 * gap - _folded_normal_mean(gap, spread)
    return max(0.0, float(np.sum(count * corrected) / len(values)))


def noise_floor(
    reliability: npt.ArrayLike,
    *,
    n_bins: int = 15,
    binning: Binning = "width",
    n_draws: int = 200,
    seed: int,
) -> NoiseFloor:
    """ECE that remains on a sample like this when every reliability is exactly true.

    Outcomes are redrawn from the stated reliabilities and measured with the same bins.

    Args:
        reliability: Stated probability of being correct, shape (N,), in [0, 1].
        n_bins: As in :func:`expected_calibration_error`.
        binning: As in :func:`expected_calibration_error`.
        n_draws: Number of redraws, at least 1.
        seed: Seed of the redraws.

    Returns:
        Mean and 95th percentile of the ECE over the redraws.

    Raises:
        InputError: N is 0, a reliability is outside [0, 1] or NaN, n_bins or n_draws is below 1,
            or the binning is unknown.
    """
    _check_at_least_one(n_draws, name="n_draws")
    values = reliability_array(reliability)
    bins = _bin_of_row(values, n_bins, binning)
    rng = np.random.default_rng(seed)
    stated = np.bincount(bins, weights=values)
    gaps = [
        np.abs(stated - np.bincount(bins[rng.random(len(values)) < values], minlength=len(stated)))
        for _ in range(n_draws)
    ]
    errors = np.sum(gaps, axis=1) / len(values)
    return NoiseFloor(mean=float(np.mean(errors)), p95=float(np.quantile(errors, 0.95)))


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
    values, right = _reliability_and_correct(reliability, correct)
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
    values, right = _reliability_and_correct(reliability, correct)
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
    values, right = _reliability_and_correct(reliability, correct)
    mean, accuracy, count = _bin_means(values, right, _bin_of_row(values, n_bins, binning))
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


def bootstrap_interval(
    metric: Callable[[FloatArray, BoolArray], float],
    reliability: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    images: npt.ArrayLike | None = None,
    confidence_level: float = 0.95,
    n_draws: int = 1000,
    seed: int,
) -> Interval:
    """Interval of a calibration metric over redraws of the rows, or of whole images.

    Each end is the more pessimistic of the percentile and the basic (reflected) bootstrap. The
    two agree for a mean, such as the Brier score; a binned error is biased upward in every redraw,
    which puts the percentile interval too high and the basic one too low.

    Args:
        metric: Takes reliability (N,) and correct (N,); at least 0, for example
            :func:`debiased_calibration_error`.
        reliability: Stated probability of being correct, shape (N,), in [0, 1].
        correct: Whether the classifier was right, boolean, shape (N,).
        images: Shape (N,), the base image of each row, where rows share images; whole images
            are then redrawn. None where every row is its own image.
        confidence_level: Two-sided, in (0, 1).
        n_draws: Number of redraws, at least 1.
        seed: Seed of the redraws.

    Returns:
        The metric and its interval, cut at 0.

    Raises:
        InputError: shapes differ, N is 0, a reliability is outside [0, 1] or NaN, correct is not
            boolean, an option is outside its range, or the metric is negative or not finite.

    Source:
        Davison & Hinkley 1997, section 5.2.
    """
    check_confidence_level(confidence_level)
    _check_at_least_one(n_draws, name="n_draws")
    values, right = _reliability_and_correct(reliability, correct)
    group = _group_of_row(images, n=len(values))
    n_groups = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    estimate = _finite(metric(values, right))
    redrawn = np.empty(n_draws)
    for draw in range(n_draws):
        times = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)
        rows = np.repeat(np.arange(len(values)), times[group])
        redrawn[draw] = _finite(metric(values[rows], right[rows]))
    tail = (1.0 - confidence_level) / 2.0
    lowest, highest = (float(end) for end in np.quantile(redrawn, [tail, 1.0 - tail]))
    return Interval(
        value=estimate,
        low=max(0.0, min(lowest, 2.0 * estimate - highest)),
        high=max(highest, 2.0 * estimate - lowest),
    )


def _reliability_and_correct(
    reliability: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Both arguments, checked and lined up."""
    values = reliability_array(reliability)
    return values, correct_array(correct, n=len(values))


def _check_at_least_one(value: int, *, name: str) -> None:
    """Refuse a count below 1."""
    if value < 1:
        raise InputError(f"{name} must be at least 1, got {value}")


def _finite(value: float) -> float:
    """A metric's value, refused where an interval around it would mean nothing."""
    if not 0.0 <= value < np.inf:
        raise InputError(f"the bootstrap needs a metric that is finite and at least 0, got {value}")
    return float(value)


def _group_of_row(images: npt.ArrayLike | None, *, n: int) -> IntArray:
    """The number of the image that each row belongs to, (N,), counted from 0."""
    if images is None:
        return np.arange(n)
    names = np.asarray(images)
    if names.shape != (n,):
        raise InputError(f"images must have shape ({n},), one per row, got {names.shape}")
    return np.asarray(np.unique(names, return_inverse=True)[1])


def _bin_of_row(values: FloatArray, n_bins: int, binning: str) -> IntArray:
    """The bin of each row, (N,), in 0…n_bins-1."""
    _check_at_least_one(n_bins, name="n_bins")
    if binning == "width":
        # Edges by division, so that 0.29 falls on the edge 29/100 and not just below 0.29 * 100.
        edges = np.arange(1, n_bins) / n_bins
        return np.asarray(np.searchsorted(edges, values, side="right"))
    if binning == "mass":
        # Rows with equal reliability have the same number of rows below them: one bin for all.
        below = np.searchsorted(np.sort(values), values, side="left")
        return np.asarray(below * n_bins // len(values))
    raise InputError(f'binning must be "width" or "mass", got {binning!r}')


def _bin_means(
    values: FloatArray, right: BoolArray, bins: IntArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Mean reliability, accuracy and count of the bins that hold rows, (M,) each."""
    count = np.bincount(bins)
    filled = count > 0
    stated = np.bincount(bins, weights=values)[filled]
    n_right = np.bincount(bins, weights=right)[filled]
    return stated / count[filled], n_right / count[filled], count[filled]


def _folded_normal_mean(gap: FloatArray, spread: FloatArray) -> FloatArray:
    """E|Z| for Z ~ N(gap, spread²), gap at least 0; |gap| itself where the spread is 0."""
    ratio = np.divide(gap, spread, out=np.full_like(gap, np.inf), where=spread > 0.0)
    density = np.sqrt(2.0 / np.pi) * np.exp(-np.square(ratio) / 2.0)
    folded: FloatArray = spread * density + gap * (1.0 - 2.0 * special.ndtr(-ratio))
    return folded
