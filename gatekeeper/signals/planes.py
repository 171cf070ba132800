"""What several signals read: luminance and the 2×2 blocks of every 8×8 tile, computed once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BLACK = 0.5 / 255
"""At most this is black after rounding to 8 bit."""

WHITE = 254.5 / 255
"""At least this is white after rounding to 8 bit."""

TILE_PX = 8
"""Side of a tile; its grid starts in the upper left corner, as that of JPEG does."""

_ALL_BANDS_UP_TO = 64


@dataclass(frozen=True, slots=True)
class Planes:
    """A batch of images, prepared.

    Attributes:
        images: As they came, shape (B, 3, H, W).
        luma: Rec. 601 luminance, which is the Y of JPEG, shape (B, H, W).
        across: Absolute step from each pixel to its right neighbour, shape (B, H, W − 1).
        down: The same to the pixel below, shape (B, H − 1, W).
    """

    images: Tensor
    luma: Tensor
    across: Tensor
    down: Tensor

    @classmethod
    def of(cls, images: Tensor) -> Planes:
        """Prepare a batch of shape (B, 3, H, W)."""
        luma = images[:, 0] * 0.299
        luma.add_(images[:, 1], alpha=0.587).add_(images[:, 2], alpha=0.114)
        return cls(
            images=images,
            luma=luma,
            across=(luma[..., 1:] - luma[..., :-1]).abs_(),
            down=(luma[:, 1:] - luma[:, :-1]).abs_(),
        )


def tile_pixels(images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four pixels of every 2×2 block of the tiles that are looked at.

    All rows of tiles where the shorter side is at most 64 px, every second one up to 128 px, and so
    on to every fourth: what is measured needs no more.

    Returns:
        Upper left, upper right, lower left, lower right pixels, each of shape
        (B, 3, tile rows, 4, 4 · tile columns), contiguous.
    """
    height, width = images.shape[2:]
    step = TILE_PX * min(4, -(-min(height, width) // _ALL_BANDS_UP_TO))
    bands = images[..., : width - width % TILE_PX].unfold(2, TILE_PX, step).movedim(-1, 3)

    def corner(down: int, across: int) -> Tensor:
        return bands[..., down::2, across::2].contiguous()

    return corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1)


def per_tile(blocks: Tensor) -> Tensor:
    """Sum over the 16 blocks of each tile: (…, tile rows, 4, 4 · tile columns) -> (…, T)."""
    *outer, n_rows, n_down, width = blocks.shape
    side = TILE_PX // 2
    tiles = blocks.reshape(*outer, n_rows, n_down, width // side, side)
    return tiles.sum(dim=-3).sum(dim=-1).flatten(-2)


def histogram(luma: Tensor, limit: int = 4096) -> Tensor:
    """Share of each of 256 grey levels in an evenly spread subsample, shape (B, 256).

    The step shares no divisor with the width, so that it visits every column.
    """
    flat = luma.flatten(1)
    step = max(1, flat.shape[1] // limit)
    while math.gcd(step, luma.shape[-1]) > 1 and step > 1:
        step += 1
    level = (flat[:, ::step] * 255.0).round_().clamp_(0.0, 255.0).long()
    level += torch.arange(len(luma), device=luma.device)[:, None] * 256
    counts = torch.bincount(level.flatten(), minlength=256 * len(luma)).view(-1, 256)
    return counts.to(torch.float32) / level.shape[1]


def average(values: Tensor) -> Tensor:
    """Mean over everything but the batch: (B, …) -> (B,), alike whether a row is alone or not.

    One lone sum is divided among torch's threads, which adds in another order than a sum per row.
    """
    flat = values.flatten(1)
    return flat.expand(2, -1).mean(dim=1)[:1] if len(flat) == 1 else flat.mean(dim=1)
