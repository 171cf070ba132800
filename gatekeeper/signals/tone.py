"""Exposure, contrast, colour and haze."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gatekeeper.signals.planes import Planes, average, histogram

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


def tone_signals(planes: Planes) -> list[Tensor]:
    """One tensor of shape (B,) per name of :data:`TONE_NAMES`."""
    return [*_luminance(planes.luma), *_colour(planes.images)]


def _luminance(luma: Tensor) -> list[Tensor]:
    flat = luma.flatten(1)
    mean = average(flat)
    variance = average((flat - mean[:, None]).square_())
    share = histogram(luma)
    below = share.cumsum(dim=1)
    return [
        mean,
        variance.sqrt(),
        *((below < q).to(torch.float32).sum(dim=1) / 255.0 for q in (0.5, 0.02, 0.98)),
        share[:, 0],
        share[:, 255],
        (share > 0).to(torch.float32).sum(dim=1).log2() / 8.0,
    ]


def _colour(images: Tensor) -> list[Tensor]:
    height, width = images.shape[2:]
    step = max(1, min(height, width) // _THIN_SIDE_PX)
    thin = images[:, :, ::step, ::step].contiguous()
    red, green, blue = thin.unbind(1)
    highest = torch.maximum(torch.maximum(red, green), blue)
    lowest = torch.minimum(torch.minimum(red, green), blue)
    spread = highest - lowest
    mean = (red + green).add_(blue).div_(3.0)
    return [
        average(spread / (highest + 0.05)),
        average((thin - mean[:, None]).abs_()),
        average(red - green),
        average(blue - green),
        average(_pooled(_pooled(lowest, torch.minimum), torch.minimum)),
        average(_pooled(_pooled(highest, torch.maximum), torch.maximum)),
    ]


def _pooled(values: Tensor, of_two: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The smaller or larger of every 2×2 values, shape (B, H // 2, W // 2)."""
    height, width = values.shape[1] // 2 * 2, values.shape[2] // 2 * 2
    rows = of_two(values[:, 0:height:2, :width], values[:, 1:height:2, :width])
    return of_two(rows[..., 0::2], rows[..., 1::2])
