"""Smooth calibration error: no bins; the width of the smoothing follows from the error itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import fft

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import reliability_and_correct
from gatekeeper.types import FloatArray

# Cells of the grid on [0, 1]; rows are shared between the two ends of their cell.
_CELLS = 8192
# The bandwidth is found to this: a tenth of a cell.
_PRECISION = 0.1 / _CELLS


def smooth_calibration_error(reliability: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """The width at which smoothing the gaps leaves an error as large as the width.

    Each row's stated reliability less its outcome is smeared over [0, 1] with a Gaussian that is
    reflected at both ends; the error at a width is the area between the sum and 0. Wider smearing
    cancels more noise and more of the error, so there is one width that equals its error. Unlike a
    binned error it is continuous: a tiny change of a reliability never changes it by much.

    Args:
        reliability: Stated probability of being correct, shape (N,), in [0, 1].
        correct: Whether the classifier was right, boolean, shape (N,).

    Returns:
        In [0, 1]; 0 is perfect. Biased upward for small N: quote its noise floor with it. There is
        no debiased form.

    Raises:
        InputError: shapes differ, N is 0, a reliability is outside [0, 1] or NaN, or correct is not
            boolean.

    Example:
        >>> round(smooth_calibration_error([0.75] * 4, [True, True, False, False]), 3)
        0.25

    Source:
        Błasiok & Nakkiran 2023, "Smooth ECE" (arXiv:2309.12236), section 3. Deviates in the grid
        of 8,192 cells and in the smoothing by a cosine transform.
    """
    error_at = _error_at_width(reliability, correct)
    low, high = 0.0, 1.0
    while high - low > _PRECISION:
        middle = (low + high) / 2.0
        low, high = (low, middle) if error_at(middle) <= middle else (middle, high)
    return high if low > 0.0 else 0.0


def calibration_error_at_width(
    reliability: npt.ArrayLike, correct: npt.ArrayLike, *, width: float
) -> float:
    """The area under the smeared gaps at a fixed width: what two curves of a diagram enclose.

    Args:
        reliability: Stated probability of being correct, shape (N,), in [0, 1].
        correct: Whether the classifier was right, boolean, shape (N,).
        width: Standard deviation of the Gaussian, above 0, in units of reliability.

    Returns:
        In [0, 1], non-increasing in the width.

    Raises:
        InputError: as :func:`smooth_calibration_error`, or the width is not positive.
    """
    if not 0.0 < width < np.inf:
        raise InputError(f"width must be positive and finite, got {width}; 0.05 is usual")
    return _error_at_width(reliability, correct)(width)


def _error_at_width(reliability: npt.ArrayLike, correct: npt.ArrayLike) -> Callable[[float], float]:
    """Width -> area under the smeared gaps."""
    values, right = reliability_and_correct(reliability, correct)
    places = values * _CELLS
    cells = np.minimum(places.astype(np.int64), _CELLS - 1)
    shares, gaps = places - cells, (values - right) / len(values)
    mass = np.bincount(cells, weights=gaps * (1.0 - shares), minlength=_CELLS + 1)
    mass += np.bincount(cells + 1, weights=gaps * shares, minlength=_CELLS + 1)
    # The cosines are what reflection at both ends leaves unchanged: smearing only damps each. An
    # end node stands for half a cell.
    areas = np.full(_CELLS + 1, 1.0 / _CELLS)
    areas[[0, -1]] /= 2.0
    waves = fft.dct(mass / areas, type=1)
    frequencies = np.pi * np.arange(_CELLS + 1)

    def error(width: float) -> float:
        damped = waves * np.exp(-np.square(width * frequencies) / 2.0)
        smeared: FloatArray = fft.idct(damped, type=1)
        return float(np.abs(smeared) @ areas)

    return error
