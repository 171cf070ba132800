"""What a calibration metric shows on a finite sample where every reliability is exactly true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gatekeeper.metrics.binning import Binning, bin_of_row
from gatekeeper.metrics.inputs import check_at_least_one, reliability_array
from gatekeeper.types import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """The calibration error that a perfectly calibrated predictor would show on this sample.

    Attributes:
        mean: Mean over the redrawn labels, in [0, 1].
        p95: 95th percentile; an observed error above it is more than noise.
    """

    mean: float
    p95: float

    @classmethod
    def of_draws(cls, draws: npt.ArrayLike) -> Self:
        """The floor that redrawn errors show, shape (R,), R at least 1."""
        values = np.asarray(draws)
        return cls(mean=float(np.mean(values)), p95=float(np.quantile(values, 0.95)))


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
    check_at_least_one(n_draws, name="n_draws")
    values = reliability_array(reliability)
    bins = bin_of_row(values, n_bins, binning)
    rng = np.random.default_rng(seed)
    stated = np.bincount(bins, weights=values)
    gaps = [
        np.abs(stated - np.bincount(bins[rng.random(len(values)) < values], minlength=len(stated)))
        for _ in range(n_draws)
    ]
    errors = np.sum(gaps, axis=1) / len(values)
    return NoiseFloor.of_draws(errors)


def noise_floor_of(
    metric: Callable[[FloatArray, BoolArray], float],
    reliability: npt.ArrayLike,
    *,
    n_draws: int = 200,
    seed: int,
) -> NoiseFloor:
    """The same for any metric of reliability and outcome, such as the smooth calibration error.

    Args:
        metric: Takes reliability (N,) and correct (N,).
        reliability: Stated probability of being correct, shape (N,), in [0, 1].
        n_draws: Number of redraws, at least 1.
        seed: Seed of the redraws.

    Returns:
        Mean and 95th percentile of the metric over the redraws.

    Raises:
        InputError: N is 0, a reliability is outside [0, 1] or NaN, or n_draws is below 1.
    """
    check_at_least_one(n_draws, name="n_draws")
    values = reliability_array(reliability)
    rng = np.random.default_rng(seed)
    return NoiseFloor.of_draws(
        [metric(values, rng.random(len(values)) < values) for _ in range(n_draws)]
    )
