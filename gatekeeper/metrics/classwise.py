"""Classwise calibration error: the probabilities of all classes, not of the answer alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gatekeeper.metrics.binning import Binning
from gatekeeper.metrics.bootstrap import Interval, interval_of_redraws
from gatekeeper.metrics.calibration import debiased_calibration_error, expected_calibration_error
from gatekeeper.metrics.inputs import check_at_least_one, label_array, probability_array
from gatekeeper.metrics.noise_floor import NoiseFloor
from gatekeeper.types import FloatArray, IntArray


def classwise_calibration_error(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    n_bins: int = 15,
    binning: Binning = "width",
    debiased: bool = False,
) -> float:
    """Mean over the classes of the calibration error of "it is class k".

    Args:
        probabilities: Shape (N, K), in [0, 1], rows sum to 1.
        labels: True classes, shape (N,), integers in 0…K−1.
        n_bins: As in :func:`~gatekeeper.metrics.calibration.expected_calibration_error`.
        binning: As there.
        debiased: Whether each class's error is the debiased one.

    Returns:
        In [0, 1]; 0 is perfect. With many classes it is small whatever the model, because most
        probabilities are near 0: compare it with its noise floor.

    Raises:
        InputError: shapes differ, N is 0, a row is no distribution, a label is no class, n_bins is
            below 1, or the binning is unknown.

    Example:
        >>> classwise_calibration_error([[0.75, 0.25]] * 2, [0, 1])
        0.25

    Source:
        Kull et al. 2019, "Beyond temperature scaling" (arXiv:1910.12656), section 2.
    """
    values = probability_array(probabilities)
    truth = label_array(labels, n=len(values), n_classes=values.shape[1])
    return _mean_over_classes(values, truth, n_bins, binning, debiased=debiased)


def classwise_noise_floor(
    probabilities: npt.ArrayLike,
    *,
    n_bins: int = 15,
    binning: Binning = "width",
    debiased: bool = False,
    n_draws: int = 200,
    seed: int,
) -> NoiseFloor:
    """Classwise error that remains on a sample like this when every probability is exactly true.

    Args:
        probabilities: Shape (N, K), in [0, 1], rows sum to 1; labels are redrawn from them.
        n_bins: As in :func:`classwise_calibration_error`.
        binning: As there.
        debiased: As there.
        n_draws: Number of redraws, at least 1.
        seed: Seed of the redraws.

    Returns:
        Mean and 95th percentile over the redraws.

    Raises:
        InputError: as :func:`classwise_calibration_error`, or n_draws is below 1.
    """
    check_at_least_one(n_draws, name="n_draws")
    values = probability_array(probabilities)
    upper = np.cumsum(values, axis=1)
    # Rows sum to 1 only up to rounding; no draw may fall beyond the last class.
    upper /= upper[:, -1:]
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(n_draws):
        drawn = np.sum(rng.random((len(values), 1)) >= upper, axis=1)
        errors.append(_mean_over_classes(values, drawn, n_bins, binning, debiased=debiased))
    return NoiseFloor.of_draws(errors)


def classwise_interval(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    n_bins: int = 15,
    binning: Binning = "width",
    debiased: bool = False,
    images: npt.ArrayLike | None = None,
    confidence_level: float = 0.95,
    n_draws: int = 1000,
    seed: int,
) -> Interval:
    """Bootstrap interval of the classwise error over rows, or over whole images.

    Args:
        probabilities: As in :func:`classwise_calibration_error`.
        labels: As there.
        n_bins: As there.
        binning: As there.
        debiased: As there.
        images: As in :func:`~gatekeeper.metrics.bootstrap.bootstrap_interval`.
        confidence_level: Two-sided, in (0, 1).
        n_draws: Number of redraws, at least 1.
        seed: Seed of the redraws.

    Returns:
        As :func:`~gatekeeper.metrics.bootstrap.bootstrap_interval`.

    Raises:
        InputError: as :func:`classwise_calibration_error`, or an option is outside its range.
    """
    values = probability_array(probabilities)
    truth = label_array(labels, n=len(values), n_classes=values.shape[1])

    def measure(rows: IntArray) -> float:
        return _mean_over_classes(values[rows], truth[rows], n_bins, binning, debiased=debiased)

    return interval_of_redraws(
        measure,
        len(values),
        images=images,
        confidence_level=confidence_level,
        n_draws=n_draws,
        seed=seed,
    )


def _mean_over_classes(
    values: FloatArray, truth: IntArray, n_bins: int, binning: Binning, *, debiased: bool
) -> float:
    error = debiased_calibration_error if debiased else expected_calibration_error
    errors = [
        error(column, truth == k, n_bins=n_bins, binning=binning)
        for k, column in enumerate(values.T)
    ]
    return float(np.mean(errors))
