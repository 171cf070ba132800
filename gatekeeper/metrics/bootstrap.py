"""Intervals of calibration metrics by redrawing rows, or whole images where rows share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import (
    check_at_least_one,
    check_confidence_level,
    reliability_and_correct,
)
from gatekeeper.types import BoolArray, FloatArray, IntArray


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
    values, right = reliability_and_correct(reliability, correct)
    return interval_of_redraws(
        lambda rows: metric(values[rows], right[rows]),
        len(values),
        images=images,
        confidence_level=confidence_level,
        n_draws=n_draws,
        seed=seed,
    )


def interval_of_redraws(
    measure: Callable[[IntArray], float],
    n_rows: int,
    *,
    images: npt.ArrayLike | None = None,
    confidence_level: float = 0.95,
    n_draws: int = 1000,
    seed: int,
) -> Interval:
    """What :func:`bootstrap_interval` does, for a metric of anything that has rows.

    Args:
        measure: Takes the numbers of the redrawn rows, (N',), some more than once; at least 0.
        n_rows: N, at least 1.
        images: As in :func:`bootstrap_interval`.
        confidence_level: Two-sided, in (0, 1).
        n_draws: Number of redraws, at least 1.
        seed: Seed of the redraws.

    Raises:
        InputError: an option is outside its range, or the metric is negative or not finite.
    """
    check_confidence_level(confidence_level)
    check_at_least_one(n_draws, name="n_draws")
    group = _group_of_row(images, n=n_rows)
    n_groups = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    estimate = _finite(measure(np.arange(n_rows)))
    redrawn = np.empty(n_draws)
    for draw in range(n_draws):
        times = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)
        redrawn[draw] = _finite(measure(np.repeat(np.arange(n_rows), times[group])))
    tail = (1.0 - confidence_level) / 2.0
    lowest, highest = (float(end) for end in np.quantile(redrawn, [tail, 1.0 - tail]))
    return Interval(
        value=estimate,
        low=max(0.0, min(lowest, 2.0 * estimate - highest)),
        high=max(highest, 2.0 * estimate - lowest),
    )


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
