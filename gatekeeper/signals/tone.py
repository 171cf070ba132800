"""Exposure, contrast, colour and haze."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from gatekeeper.signals.planes import Planes, histogram, root, row_means
from gatekeeper.types import FloatArray

TONE_NAMES = (
    "mean",
    "contrast",
    "median",
    "low_quantile",
    "high_quantile",
    "black_share",
    "white_share",
    "levels",
    "saturation",
    "chroma",
    "cast_red",
    "cast_blue",
    "dark_channel",
    "bright_channel",
)
"""Exposure and colour, all in [0, 1] unless said otherwise; luminance is Rec. 601.

``mean``, ``contrast`` (standard deviation), ``median``, ``low_quantile`` and ``high_quantile``
(2 % and 98 %, in steps of 1/255) are of luminance; lower is darker. ``black_share`` and
``white_share`` are of pixels within half a grey level of 0 or 1. ``levels`` is the logarithm of the
number of grey levels in use, 0 for one and 1 for 256; posterising lowers it. ``saturation`` is the
mean of (max − min) / (max + 0.05) over channels, ``chroma`` the mean absolute distance of a channel
from grey; both 0 for grey. ``cast_red`` and ``cast_blue`` are the mean of that channel less
green, in [−1, 1]. ``dark_channel`` and ``bright_channel`` are the mean of the smallest and the
largest channel value in patches of 4×4 px of a thinned grid: haze raises the first.

Source:
    He, Sun and Tang 2009, "Single image haze removal using dark channel prior". Deviates in
    patches of one size on a thinned grid.
"""

_THIN_SIDE_PX = 56
_QUANTILES = np.array([0.5, 0.02, 0.98], dtype=np.float32)[:, None]


def tone_signals(planes: Planes) -> list[FloatArray]:
    """One array of shape (B,) per name of :data:`TONE_NAMES`."""
    return [*_luminance(planes.luma), *_colour(planes.images.numpy())]


def _luminance(luma: FloatArray) -> list[FloatArray]:
    flat = luma.reshape(len(luma), -1)
    mean = row_means(flat)
    centred = flat - mean[:, None]
    variance = row_means(np.square(centred, out=centred))
    share = histogram(torch.from_numpy(luma)).numpy()
    # Summed in double precision: a share that is reached exactly counts as reached.
    below = share.cumsum(axis=1, dtype=np.float64).astype(np.float32)
    at = np.add.reduce(below[:, None] < _QUANTILES, axis=2).astype(np.float32) / 255.0
    return [
        mean,
        root(variance),
        *at.T,
        share[:, 0],
        share[:, 255],
        _log2_of_counts()[np.add.reduce(share > 0, axis=1)] / 8.0,
    ]


@lru_cache(maxsize=1)
def _log2_of_counts() -> FloatArray:
    """Binary logarithms of 0 … 256."""
    return np.asarray(torch.arange(257, dtype=torch.float32).log2().numpy())


def _colour(images: FloatArray) -> list[FloatArray]:
    height, width = images.shape[2:]
    step = max(1, min(height, width) // _THIN_SIDE_PX)
    thin = np.ascontiguousarray(images[:, :, ::step, ::step])
    red, green, blue = thin[:, 0], thin[:, 1], thin[:, 2]
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    whole = np.empty((3, *red.shape), dtype=np.float32)
    np.divide(highest - lowest, highest + 0.05, out=whole[0])
    np.subtract(red, green, out=whole[1])
    np.subtract(blue, green, out=whole[2])
    mean = red + green
    mean += blue
    mean /= 3.0
    chroma = thin - mean[:, None]
    patches = np.stack(
        [
            _pooled(_pooled(lowest, np.minimum), np.minimum),
            _pooled(_pooled(highest, np.maximum), np.maximum),
        ]
    )
    saturation, cast_red, cast_blue = _averages(whole)
    (distance,) = _averages(np.abs(chroma, out=chroma)[None])
    dark, bright = _averages(patches)
    return [saturation, distance, cast_red, cast_blue, dark, bright]


def _averages(planes: FloatArray) -> FloatArray:
    """Mean over everything but the first two axes, shape (n, B)."""
    return row_means(planes.reshape(*planes.shape[:2], -1))


def _pooled(values: FloatArray, of_two: np.ufunc) -> FloatArray:
    """The smaller or larger of every 2×2 values, shape (B, H // 2, W // 2)."""
    height, width = values.shape[1] // 2 * 2, values.shape[2] // 2 * 2
    rows = of_two(values[:, 0:height:2, :width], values[:, 1:height:2, :width])
    return np.asarray(of_two(rows[..., 0::2], rows[..., 1::2]))
