"""Looking an image up at other places than its pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def grid(images: Tensor) -> tuple[Tensor, Tensor]:
    """Column and row of every pixel, shapes (1, 1, W) and (1, H, 1), float32."""
    height, width = images.shape[2:]
    x = torch.arange(width, dtype=torch.float32, device=images.device)
    y = torch.arange(height, dtype=torch.float32, device=images.device)
    return x[None, None, :], y[None, :, None]


def _mirrored(place: Tensor, size: int) -> Tensor:
    place = (place + 0.5).remainder(2 * size)
    return (size - (place - size).abs() - 0.5).clamp(0, size - 1)


def looked_up(images: Tensor, x: Tensor, y: Tensor, black: Tensor | None = None) -> Tensor:
    """Bilinear look-up.

    Args:
        images: Shape (B, C, H, W).
        x: Column of each output pixel in the input, in pixels, broadcast to (B, H', W').
        y: Row of each output pixel.
        black: Whether the surroundings of an image are black, boolean (B,); those of all others,
            and of all if None, mirror the image about the edges of its outermost pixels.

    Returns:
        Shape (B, C, H', W').
    """
    batch, _, height, width = images.shape
    x, y = x + torch.zeros_like(y), y + torch.zeros_like(x)
    inner_x, inner_y = _mirrored(x, width), _mirrored(y, height)
    if black is not None:
        inner_x = torch.where(black[:, None, None], x, inner_x)
        inner_y = torch.where(black[:, None, None], y, inner_y)
    places = torch.stack(
        [(2 * inner_x + 1) / width - 1, (2 * inner_y + 1) / height - 1], dim=-1
    ).expand(batch, -1, -1, -1)
    return F.grid_sample(images, places, mode="bilinear", padding_mode="zeros", align_corners=False)


def zoomed_places(size: int, zoom: Tensor) -> Tensor:
    """Where the pixels of a line come from when its middle is enlarged to the whole line.

    The middle ⌈size / zoom⌉ pixels are stretched, end to end, over round(⌈size / zoom⌉ · zoom)
    pixels, of which the middle ``size`` are kept.

    Args:
        size: Pixels of the line.
        zoom: Factors of at least 1, shape (B,), float64.

    Returns:
        Positions in pixels, shape (B, size), float32.
    """
    kept = torch.ceil(size / zoom - 1e-9)
    start = torch.floor((size - kept) / 2)
    enlarged = torch.round(kept * zoom)
    skipped = torch.floor((enlarged - size) / 2)
    pixel = torch.arange(size, dtype=torch.float64, device=zoom.device)
    stride = (kept - 1) / (enlarged - 1).clamp(min=1)
    places = start[:, None] + (pixel + skipped[:, None]) * stride[:, None]
    return places.to(torch.float32)
