"""Blur: how wide, in which direction, from how edges flatten between two scales.

Across an edge of Gaussian width s, the mean fourth power of the slope falls as s⁻³. Differences
over 1 px and over blocks of 4 px add known widths to it, so that their ratio gives s. Four
directions give the blur's covariance matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.signals.planes import Planes

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

_EDGE_FLOOR = 1e-8
_NARROWEST_PX, _WIDEST_PX = 0.3, 8.0
# Shorter side from which on coarse means blocks of 8 px instead of 4.
_LARGE_PX = 96


def edge_signals(planes: Planes, noise_luma: Tensor) -> list[Tensor]:
    """One tensor of shape (B,) per name of :data:`EDGE_NAMES`.

    Args:
        planes: The images.
        noise_luma: Sigma of the noise in luminance, shape (B,), taken off the slopes' moments.
    """
    luma = planes.luma
    half = _halved(luma)
    quarter = _halved(half)
    power = noise_luma.square()
    fine = _slopes(luma, power)
    middle = _slopes(half, power / 4, length=2.0)
    quartered = _slopes(quarter, power / 16, length=4.0)
    n_px = 4.0
    coarse = quartered
    if min(luma.shape[1:]) >= _LARGE_PX:
        n_px = 8.0
        coarse = _slopes(_halved(quarter), power / 64, length=n_px)
    squared = [
        _width(f, c, n_px, along_axis=k % 2 == 0)
        for k, (f, c) in enumerate(zip(fine, coarse, strict=True))
    ]
    across, falling, down, rising = squared
    size = 0.25 * (across + falling + down + rising)
    cosine, sine = 0.5 * (across - down), 0.5 * (rising - falling)
    axis = torch.sqrt(cosine.square() + sine.square())
    # Sharp edges have no direction to speak of: the constant keeps their ratio small.
    whole = torch.maximum(size, axis) + 0.15
    return [
        planes.across.flatten(1).mean(dim=1),
        planes.down.flatten(1).mean(dim=1),
        _sum(quartered).mul(0.25).sqrt().sqrt(),
        size.sqrt(),
        _log_ratio(fine, middle),
        _log_ratio(middle, quartered),
        axis / whole,
        cosine / whole,
        sine / whole,
    ]


def _halved(luma: Tensor) -> Tensor:
    height, width = luma.shape[1] // 2 * 2, luma.shape[2] // 2 * 2
    whole = luma[:, :height, :width]
    rows = whole[:, 0::2] + whole[:, 1::2]
    return (rows[..., 0::2] + rows[..., 1::2]).mul_(0.25)


def _slopes(luma: Tensor, noise_power: Tensor, length: float = 1.0) -> list[Tensor]:
    """Mean fourth power of the slope per px: across, falling, down, rising, each (B,)."""
    differences = (
        (luma[..., 1:] - luma[..., :-1], 1.0),
        (luma[:, 1::2, 1:] - luma[:, :-1:2, :-1], 2.0),
        (luma[:, 1:] - luma[:, :-1], 1.0),
        (luma[:, :-1:2, 1:] - luma[:, 1::2, :-1], 2.0),
    )
    found = []
    for difference, squared_step in differences:
        square = difference.square_().flatten(1)
        second = square.mean(dim=1)
        fourth = square.square_().mean(dim=1)
        # Moments of slope plus independent normal noise, solved for the slope's.
        noise = 2.0 * noise_power
        slope = (second - noise).clamp_min(0.0)
        clean = fourth - 6.0 * slope * noise - 3.0 * noise.square()
        # What is left of noise alone is chance: never less than a share of what was there.
        clean = torch.maximum(clean, 0.02 * fourth)
        found.append(clean / (squared_step * length * length) ** 2)
    return found


def _width(fine: Tensor, coarse: Tensor, n_px: float, *, along_axis: bool) -> Tensor:
    """Squared width of edges, px², from the slope's fourth moments over 1 px and ``n_px``."""
    added_fine, added_coarse = (_added(n, along_axis=along_axis) for n in (1.0, n_px))
    # In double precision, so that a row comes out the same in every batch.
    ratio = ((fine + _EDGE_FLOOR) / (coarse + _EDGE_FLOOR)).double().pow(2 / 3).float()
    least = (added_coarse - added_fine) / _WIDEST_PX**2
    squared = (added_coarse - ratio * added_fine) / (ratio - 1.0).clamp_min(least)
    return squared.clamp(_NARROWEST_PX**2, _WIDEST_PX**2)


def _added(n_px: float, *, along_axis: bool) -> float:
    """Variance, px², that averaging n×n pixels and a difference over n add to an edge's own."""
    return (n_px**2 - 1) / 12 + n_px**2 / (12 if along_axis else 6)


def _log_ratio(fine: Tensor, coarse: Tensor) -> Tensor:
    return 0.25 * torch.log((_sum(fine) + _EDGE_FLOOR) / (_sum(coarse) + _EDGE_FLOOR))


def _sum(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts, dim=1).sum(dim=1)
