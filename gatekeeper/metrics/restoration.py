"""How close a restored image is to the clean one, and whom restoration helped or harmed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import correct_array
from gatekeeper.metrics.proportions import exact_proportion_interval
from gatekeeper.types import FloatArray

_SIGMA_PX = 1.5
_RADIUS_PX = 5
_STABILISER_MEAN = 0.01**2
_STABILISER_SPREAD = 0.03**2


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpHarm:
    """Answers that restoration made right against those that it made wrong.

    Attributes:
        help: Wrong raw answers whose final answer is right.
        harm: Right raw answers whose final answer is wrong.
        ratio: help ÷ harm, at least 0, higher is better; infinite where harm is 0, so also for
            0 : 0, where the interval (0, infinite) says that nothing is known.
        low: Lower end of the exact two-sided interval of the ratio.
        high: Upper end of it; may be infinite.
    """

    help: int
    harm: int
    ratio: float
    low: float
    high: float


def psnr(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Peak signal-to-noise ratio of two images.

    Args:
        a: Floats, shape (H, W) or (C, H, W), in [0, 1].
        b: The same shape and range.

    Returns:
        In decibel for a peak of 1, higher is closer; infinite for identical images. Computed in
        float64 and nowhere rounded to 8 bit.

    Raises:
        InputError: shapes differ or are not those of one image, the values are not floats, or a
            value is NaN or outside [0, 1].

    Example:
        >>> round(psnr([[0.5, 0.5]], [[0.4, 0.6]]), 6)
        20.0
    """
    one, other = _image_pair(a, b)
    error = float(np.mean(np.square(one - other)))
    return -10.0 * math.log10(error) if error > 0.0 else math.inf


def ssim(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Structural similarity of two images, averaged over channels and positions.

    Gaussian window of 11 x 11 px, sigma 1.5 px, at the positions where it lies inside the image.

    Args:
        a: Floats, shape (H, W) or (C, H, W), in [0, 1], H and W at least 11 px.
        b: The same shape and range.

    Returns:
        In [-1, 1], higher is closer; 1 for identical images.

    Raises:
        InputError: as :func:`psnr`, or the image is smaller than the window.

    Source:
        Wang et al. 2004 (K1 = 0.01, K2 = 0.03, peak 1). Deviates in taking each channel by itself.
    """
    one, other = _image_pair(a, b)
    if min(one.shape[-2:]) <= 2 * _RADIUS_PX:
        raise InputError(
            f"ssim needs images of at least {2 * _RADIUS_PX + 1} px on either side, "
            f"got {one.shape[-2]} x {one.shape[-1]}; use psnr for smaller ones"
        )
    mean_a, mean_b = _window_mean(one), _window_mean(other)
    variance_a = _window_mean(one * one) - mean_a**2
    variance_b = _window_mean(other * other) - mean_b**2
    covariance = _window_mean(one * other) - mean_a * mean_b
    similarity = (2.0 * mean_a * mean_b + _STABILISER_MEAN) / (
        mean_a**2 + mean_b**2 + _STABILISER_MEAN
    )
    similarity *= (2.0 * covariance + _STABILISER_SPREAD) / (
        variance_a + variance_b + _STABILISER_SPREAD
    )
    return float(np.mean(similarity))


def help_harm(
    raw_correct: npt.ArrayLike, final_correct: npt.ArrayLike, *, confidence_level: float = 0.95
) -> HelpHarm:
    """Count whom restoration helped and harmed, over every image of a stream.

    Args:
        raw_correct: Whether the raw answer was right, boolean, shape (N,).
        final_correct: Whether the final answer, before abstention, is right, boolean, shape (N,).
        confidence_level: Two-sided level of the interval, in (0, 1).

    Returns:
        Counts, point ratio and the exact interval of the ratio: that of the share help ÷ (help +
        harm), carried over to the odds. Rows must be independent: one per image.

    Raises:
        InputError: shapes differ, N is 0, an argument is not boolean, or the level is outside
            (0, 1).

    Example:
        >>> help_harm([False, False, True], [True, True, False]).ratio
        2.0
    """
    n = np.asarray(raw_correct).size
    if n == 0:
        raise InputError("help and harm need at least one image, got none")
    before = correct_array(raw_correct, n=n, name="raw_correct")
    after = correct_array(final_correct, n=n, name="final_correct")
    helped = int(np.count_nonzero(~before & after))
    harmed = int(np.count_nonzero(before & ~after))
    low, high = 0.0, 1.0
    if helped + harmed:
        low, high = exact_proportion_interval(helped, helped + harmed, confidence_level)
    return HelpHarm(
        help=helped,
        harm=harmed,
        ratio=helped / harmed if harmed else math.inf,
        low=_odds(low),
        high=_odds(high),
    )


def _odds(share: float) -> float:
    """The odds that belong to a share, infinite at 1."""
    return share / (1.0 - share) if share < 1.0 else math.inf


def _window_mean(values: FloatArray) -> FloatArray:
    """Gaussian-weighted mean around each position whose window lies inside, (..., H-10, W-10)."""
    blurred = ndimage.gaussian_filter(values, _SIGMA_PX, axes=(-2, -1), radius=_RADIUS_PX)
    inside = slice(_RADIUS_PX, -_RADIUS_PX)
    return np.asarray(blurred[..., inside, inside])


def _image_pair(
    a: npt.ArrayLike, b: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Two images of one shape as float64."""
    one, other = _image(a, name="a"), _image(b, name="b")
    if one.shape != other.shape:
        raise InputError(
            f"images must have one shape, got {one.shape} and {other.shape}; crop or resize first"
        )
    return one, other


def _image(values: npt.ArrayLike, *, name: str) -> npt.NDArray[np.float64]:
    """One image as float64, refused where its values are not floats in [0, 1]."""
    image = np.asarray(values)
    if image.ndim not in (2, 3) or image.size == 0:
        raise InputError(f"{name} must have shape (H, W) or (C, H, W), got {image.shape}")
    # Bytes would wrap around on subtraction: 3 - 5 = 254.
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"{name} must be floats in [0, 1], got {image.dtype}; divide bytes by 255")
    low, high = float(image.min()), float(image.max())
    if not (low >= 0.0 and high <= 1.0):
        raise InputError(f"{name} must lie in [0, 1], got values from {low:g} to {high:g}")
    return image.astype(np.float64)
