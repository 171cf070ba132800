"""Blur: how wide, in which direction, from how edges flatten between two scales.

Across an edge of Gaussian width s, the mean fourth power of the slope falls as s⁻³. Differences
over 1 px and over blocks of 4 px add known widths to it, so that their ratio gives s. Four
directions give the blur's covariance matrix.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gatekeeper.signals.planes import Planes, log, root, row_means
from gatekeeper.types import FloatArray

EDGE_NAMES = (
    "gradient_across",
    "gradient_down",
    "edge_contrast",
    "blur_sigma",
    "blur_fine",
    "blur_coarse",
    "blur_anisotropy",
    "blur_cosine",
    "blur_sine",
)
"""Steps and blur.

``gradient_across`` and ``gradient_down`` are mean absolute steps between neighbours, in [0, 1].
``edge_contrast`` is the fourth root of the mean fourth power of slopes over 4 px, per px.
``blur_sigma`` is the standard deviation of the Gaussian that would widen a step as the edges are,
px, within [0.3, 8]; higher is blurrier. It is the mean over four directions, so that an image
with edges in one direction only, or with steps no larger than rounding, counts as blurred.
``blur_fine`` and
``blur_coarse`` are the logarithms of slopes over 1 px against 2 px, and over 2 px against 4 px: 0
where all is smooth, higher where it is sharp or noisy. ``blur_anisotropy``, in [0, 1), is 0 where
blur is alike in all directions and near 1 where it has one; ``blur_cosine`` and ``blur_sine`` are
that times the cosine and sine of twice the direction's angle, anticlockwise from the horizontal.
"""

_EDGE_FLOOR = 1e-8
_NARROWEST_PX, _WIDEST_PX = 0.3, 8.0
# Shorter side from which on coarse means blocks of 8 px instead of 4.
_LARGE_PX = 96
# Distance between pixels of the image, halved once, twice and thrice.
_SCALES_PX = np.array([1, 2, 4, 8], dtype=np.float32)
_UNITS = (_SCALES_PX**4)[:, None, None] * np.array([1, 4, 1, 4], dtype=np.float32)


def edge_signals(planes: Planes, noise_luma: FloatArray) -> list[FloatArray]:
    """One array of shape (B,) per name of :data:`EDGE_NAMES`.

    Args:
        planes: The images.
        noise_luma: Sigma of the noise in luminance, shape (B,), taken off the slopes' moments.
    """
    luma = planes.luma
    is_large = min(luma.shape[1:]) >= _LARGE_PX
    # Every third line of a large image serves.
    every = 3 if is_large else 1
    moments = [_moments(luma, planes.across[:, ::every], planes.down[:, ::every], every)]
    for _ in range(3 if is_large else 2):
        luma = _halved(luma)
        moments.append(_moments(luma, luma[..., 1:] - luma[..., :-1], luma[:, 1:] - luma[:, :-1]))
    slopes = _slopes(np.stack(moments), np.square(noise_luma))
    n_px = 8 if is_large else 4
    across, falling, down, rising = _widths(slopes[0], slopes[-1], n_px).T
    size = 0.25 * (across + falling + down + rising)
    cosine, sine = 0.5 * (across - down), 0.5 * (rising - falling)
    axis = root(np.square(cosine) + np.square(sine))
    # Sharp edges have no direction to speak of: the constant keeps their ratio small.
    whole = np.maximum(size, axis) + 0.15
    sums = np.add.reduce(slopes[:3], axis=2) + _EDGE_FLOOR
    return [
        row_means(planes.across.reshape(len(luma), -1)),
        row_means(planes.down.reshape(len(luma), -1)),
        root(root(np.add.reduce(slopes[2], axis=1) / 4)),
        root(size),
        *(0.25 * log(sums[:2] / sums[1:])),
        axis / whole,
        cosine / whole,
        sine / whole,
    ]


def _halved(luma: FloatArray) -> FloatArray:
    height, width = luma.shape[1] // 2 * 2, luma.shape[2] // 2 * 2
    rows = luma[:, 0:height:2, :width] + luma[:, 1:height:2, :width]
    halved = rows[..., 0::2] + rows[..., 1::2]
    halved *= 0.25
    return np.asarray(halved)


def _moments(luma: FloatArray, across: FloatArray, down: FloatArray, every: int = 1) -> FloatArray:
    """Mean second and fourth power of the steps across, falling, down, rising, shape (2, B, 4).

    Args:
        luma: Shape (B, H, W).
        across: Steps from pixel to pixel to be counted, of either sign.
        down: The same, downwards.
        every: Which diagonal steps count: all, or those of every so many lines.
    """
    upper, lower = luma[:, :-1:every], luma[:, 1::every]
    diagonal = np.empty((2, 2, *upper.shape[:2], luma.shape[2] - 1), dtype=np.float32)
    np.subtract(lower[..., 1:], upper[..., :-1], out=diagonal[0, 0])
    np.subtract(upper[..., 1:], lower[..., :-1], out=diagonal[0, 1])
    np.square(np.square(diagonal[0], out=diagonal[0]), out=diagonal[1])
    found = np.empty((2, 4, len(luma)), dtype=np.float32)
    found[:, 1::2] = row_means(diagonal.reshape(2, 2, len(luma), -1))
    for place, steps in ((0, across), (2, down)):
        powers = np.empty((2, *steps.shape), dtype=np.float32)
        np.square(np.square(steps, out=powers[0]), out=powers[1])
        found[:, place] = row_means(powers.reshape(2, len(luma), -1))
    return found.swapaxes(1, 2)


def _slopes(moments: FloatArray, noise_power: FloatArray) -> FloatArray:
    """Mean fourth power of the slope per px at each scale, shape (scales, B, 4).

    Args:
        moments: Second and fourth, shape (scales, 2, B, 4).
        noise_power: Variance of the noise in luminance, shape (B,); averages have less.
    """
    scales = _SCALES_PX[: len(moments), None, None]
    second, fourth = moments[:, 0], moments[:, 1]
    # Moments of slope plus independent normal noise, solved for the slope's.
    noise = 2.0 * (noise_power[:, None] / np.square(scales))
    slope = np.maximum(second - noise, 0.0)
    clean = fourth - 6.0 * slope * noise - 3.0 * np.square(noise)
    # What is left of noise alone is chance: never less than a share of what was there.
    clean = np.maximum(clean, 0.02 * fourth)
    return np.asarray(clean / _UNITS[: len(moments)])


def _widths(fine: FloatArray, coarse: FloatArray, n_px: int) -> FloatArray:
    """Squared width of edges, px², from slopes over 1 px and over ``n_px``, shape (B, 4)."""
    added_fine, added_coarse = _added(1), _added(n_px)
    # In double precision, so that a row comes out the same in every batch.
    ratio = ((fine + _EDGE_FLOOR) / (coarse + _EDGE_FLOOR)).astype(np.float64)
    ratio = np.power(ratio, 2 / 3).astype(np.float32)
    least = (added_coarse - added_fine) / _WIDEST_PX**2
    squared = (added_coarse - ratio * added_fine) / np.maximum(ratio - 1.0, least)
    return np.asarray(np.minimum(np.maximum(squared, _NARROWEST_PX**2), _WIDEST_PX**2))


@lru_cache(maxsize=4)
def _added(n_px: int) -> FloatArray:
    """Variance, px², that averaging n×n pixels and a difference over n add to an edge's own."""
    average, axis = (n_px**2 - 1) / 12, n_px**2 / 12
    return np.array([average + axis, average + 2 * axis] * 2, dtype=np.float32)
