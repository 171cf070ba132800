"""Cloudy random fields by midpoint displacement."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gatekeeper.corruptions.randomness import uniform
from gatekeeper.types import IntArray


def plasma(seeds: IntArray, height: int, width: int, decay: Tensor, *, stream: int = 0) -> Tensor:
    """Diamond-square fractals, shape (B, height, width), each scaled to 0…1.

    On a torus whose side is the smallest power of two that holds the image, the middle of every
    square and then of every diamond becomes the mean of its four corners plus a uniform
    displacement, which shrinks by decay² from one halving of the step to the next.

    Args:
        seeds: Shape (B,).
        height: Rows that are kept.
        width: Columns that are kept.
        decay: At least 1, shape (B,); larger is smoother.
        stream: Number of an independent stream of the same seed.

    Source:
        Fournier, Fussell, Carpenter 1982 (midpoint displacement); used for fog by Hendrycks and
        Dietterich 2019 (arXiv:1903.12261).
    """
    side = 2 ** max(1, math.ceil(math.log2(max(height, width))))
    draws = uniform(seeds, side * side, stream=stream, device=decay.device)
    draws = (2.0 * draws - 1.0).reshape(-1, side, side)
    field = torch.zeros_like(draws)
    strength = torch.ones_like(decay)
    step = side
    while step >= 2:
        _halve(field, draws, step, strength.to(draws.dtype).reshape(-1, 1, 1))
        strength = strength / decay**2
        step //= 2
    low = field.amin(dim=(1, 2), keepdim=True)
    high = field.amax(dim=(1, 2), keepdim=True)
    return ((field - low) / (high - low))[:, :height, :width]


def _halve(field: Tensor, draws: Tensor, step: int, strength: Tensor) -> None:
    half = step // 2

    def displace(rows: slice, columns: slice, corners: Tensor) -> None:
        field[:, rows, columns] = corners / 4 + strength * draws[:, rows, columns]

    on, off = slice(None, None, step), slice(half, None, step)
    corner = field[:, on, on]
    across = corner + corner.roll(-1, dims=1)
    displace(off, off, across + across.roll(-1, dims=2))
    centre = field[:, off, off]
    displace(on, off, centre + centre.roll(1, dims=1) + corner + corner.roll(-1, dims=2))
    displace(off, on, centre + centre.roll(1, dims=2) + corner + corner.roll(-1, dims=1))
