"""Blur: how wide, in which direction, from how edges flatten between two scales.

Across an edge of Gaussian width s, the mean fourth power of the slope falls as s⁻³. Differences
over 1 px and over blocks of 4 px add known widths to it, so that their ratio gives s. Four
directions give the blur's covariance matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.signals.planes import Planes, average

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


def edge_signals(planes: Planes, noise_luma: Tensor) -> list[Tensor]:
    """One tensor of shape (B,) per name of :data:`EDGE_NAMES`.

    Args:
        planes: The images.
        noise_luma: Sigma of the noise in luminance, shape (B,), taken off the slopes' moments.
    """
    luma = planes.luma
    half = _halved(luma)
    quarter = _halved(half)
    power = noise_luma.square()[:, None]
    # Every third line of a large image serves.
    every = 3 if min(luma.shape[1:]) >= _LARGE_PX else 1
    steps = (planes.across[:, ::every], planes.down[:, ::every])
    fine = _slopes(luma, power, 1, steps, every)
    middle = _slopes(half, power / 4, 2)
    quartered = _slopes(quarter, power / 16, 4)
    n_px, coarse = 4, quartered
    if min(luma.shape[1:]) >= _LARGE_PX:
        n_px = 8
        coarse = _slopes(_halved(quarter), power / 64, n_px)
    across, falling, down, rising = _widths(fine, coarse, n_px).unbind(1)
    size = 0.25 * (across + falling + down + rising)
    cosine, sine = 0.5 * (across - down), 0.5 * (rising - falling)
    axis = torch.sqrt(cosine.square() + sine.square())
    # Sharp edges have no direction to speak of: the constant keeps their ratio small.
    whole = torch.maximum(size, axis) + 0.15
    return [
        average(planes.across),
        average(planes.down),
        quartered.mean(dim=1).sqrt().sqrt(),
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


def _slopes(
    luma: Tensor,
    noise_power: Tensor,
    n_px: int,
    steps: tuple[Tensor, Tensor] | None = None,
    every: int = 1,
) -> Tensor:
    """Mean fourth power of the slope per px: across, falling, down, rising, shape (B, 4).

    Args:
        luma: Shape (B, H, W), each pixel the mean of ``n_px`` by ``n_px``.
        noise_power: Variance of the noise in it, shape (B, 1).
        n_px: Distance between its pixels.
        steps: Steps across and down, where they are there already.
        every: Which diagonal steps count: all, or those of every so many lines.
    """
    across, down = steps or (luma[..., 1:] - luma[..., :-1], luma[:, 1:] - luma[:, :-1])
    upper, lower = luma[:, :-1:every], luma[:, 1::every]
    falling = lower[..., 1:] - upper[..., :-1]
    rising = upper[..., 1:] - lower[..., :-1]
    seconds, fourths = [], []
    for difference in (across, falling, down, rising):
        square = difference.square().flatten(1)
        seconds.append(average(square))
        fourths.append(average(square.square_()))
    second, fourth = torch.stack(seconds, dim=1), torch.stack(fourths, dim=1)
    # Moments of slope plus independent normal noise, solved for the slope's.
    noise = 2.0 * noise_power
    slope = (second - noise).clamp_min(0.0)
    clean = fourth - 6.0 * slope * noise - 3.0 * noise.square()
    # What is left of noise alone is chance: never less than a share of what was there.
    clean = torch.maximum(clean, 0.02 * fourth)
    return torch.div(clean, luma.new_tensor([n_px**4, 4 * n_px**4] * 2))


def _widths(fine: Tensor, coarse: Tensor, n_px: int) -> Tensor:
    """Squared width of edges, px², from slopes over 1 px and over ``n_px``, shape (B, 4)."""
    added_fine, added_coarse = _added(1, fine), _added(n_px, fine)
    # In double precision, so that a row comes out the same in every batch.
    ratio = ((fine + _EDGE_FLOOR) / (coarse + _EDGE_FLOOR)).double().pow(2 / 3).float()
    least = (added_coarse - added_fine) / _WIDEST_PX**2
    squared = (added_coarse - ratio * added_fine) / torch.maximum(ratio - 1.0, least)
    return squared.clamp(_NARROWEST_PX**2, _WIDEST_PX**2)


def _added(n_px: int, like: Tensor) -> Tensor:
    """Variance, px², that averaging n×n pixels and a difference over n add to an edge's own."""
    average, axis = (n_px**2 - 1) / 12, n_px**2 / 12
    return like.new_tensor([average + axis, average + 2 * axis] * 2)


def _log_ratio(fine: Tensor, coarse: Tensor) -> Tensor:
    return 0.25 * torch.log((fine.sum(dim=1) + _EDGE_FLOOR) / (coarse.sum(dim=1) + _EDGE_FLOOR))
