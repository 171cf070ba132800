"""What several signals read: luminance and the 2×2 blocks of every 8×8 tile, computed once.

A lone image is many small arrays, and what a call costs counts more than its arithmetic. So large
planes, transforms and sums are torch's, and what is done to small arrays is numpy's, whose calls
cost a third. Both round elementary operations alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gatekeeper.types import FloatArray

BLACK = 0.5 / 255
"""At most this is black after rounding to 8 bit."""

WHITE = 254.5 / 255
"""At least this is white after rounding to 8 bit."""

TILE_PX = 8
"""Side of a tile; its grid starts in the upper left corner, as that of JPEG does."""

_ALL_BANDS_UP_TO = 64
# From this many values on torch may divide one lone sum among its threads.
_DIVIDED_FROM = 2**15


@dataclass(frozen=True, slots=True)
class Planes:
    """A batch of images, prepared, on the CPU.

    Attributes:
        images: As they came, shape (B, 3, H, W).
        luma: Rec. 601 luminance, which is the Y of JPEG, shape (B, H, W).
        across: Absolute step from each pixel to its right neighbour, shape (B, H, W − 1).
        down: The same to the pixel below, shape (B, H − 1, W).
    """

    images: Tensor
    luma: FloatArray
    across: FloatArray
    down: FloatArray

    @classmethod
    def of(cls, images: Tensor) -> Planes:
        """Prepare a batch of shape (B, 3, H, W)."""
        images = images.detach().float().cpu()
        red, green, blue = images.unbind(1)
        luma = red * 0.299
        luma.add_(green, alpha=0.587).add_(blue, alpha=0.114)
        return cls(
            images=images,
            luma=luma.numpy(),
            across=torch.diff(luma, dim=2).abs_().numpy(),
            down=torch.diff(luma, dim=1).abs_().numpy(),
        )


def tile_pixels(images: Tensor) -> Tensor:
    """The four pixels of every 2×2 block of the tiles that are looked at.

    All rows of tiles where the shorter side is at most 64 px, every second one up to 128 px, and so
    on to every fourth: what is measured needs no more.

    Returns:
        Upper left, upper right, lower left, lower right pixels, shape
        (4, B, 3, tile rows, 4, 4 · tile columns), contiguous.
    """
    n_images, n_channels, height, width = images.shape
    step = TILE_PX * min(4, -(-min(height, width) // _ALL_BANDS_UP_TO))
    n_rows, n_columns = (height - TILE_PX) // step + 1, width // TILE_PX
    per_image, per_channel, per_row, per_pixel = images.stride()
    corners = images.as_strided(
        (2, 2, n_images, n_channels, n_rows, 4, 4 * n_columns),
        (
            *(per_row, per_pixel, per_image, per_channel),
            *(step * per_row, 2 * per_row, 2 * per_pixel),
        ),
    )
    return corners.contiguous().flatten(0, 1)


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
    flat = luma.flatten(1).numpy()
    step = max(1, flat.shape[1] // limit)
    while math.gcd(step, luma.shape[-1]) > 1 and step > 1:
        step += 1
    level = flat[:, ::step] * 255.0
    np.minimum(np.maximum(np.rint(level, out=level), 0.0, out=level), 255.0, out=level)
    place = level.astype(np.int64)
    place += np.arange(len(flat))[:, None] * 256
    counts = np.bincount(place.ravel(), minlength=256 * len(flat)).reshape(-1, 256)
    return torch.from_numpy(counts.astype(np.float32) / level.shape[1])


def row_means(rows: FloatArray) -> FloatArray:
    """Mean over the last axis: (…, N) -> (…), alike whether a row is alone or not.

    One lone sum is divided among torch's threads, which adds in another order than a sum per row.
    """
    given = torch.from_numpy(rows)
    if _is_divided(given):
        return np.asarray(given.expand(2, *rows.shape).mean(dim=-1)[0].numpy())
    return np.asarray(given.mean(dim=-1).numpy())


def row_sums(rows: FloatArray) -> FloatArray:
    """Sum over the last axis, as :func:`row_means`."""
    given = torch.from_numpy(rows)
    if _is_divided(given):
        return np.asarray(given.expand(2, *rows.shape).sum(dim=-1)[0].numpy())
    return np.asarray(given.sum(dim=-1).numpy())


def _is_divided(rows: Tensor) -> bool:
    alone = rows.shape[-1] == rows.numel()
    return alone and rows.numel() >= _DIVIDED_FROM and torch.get_num_threads() > 1


def log(values: FloatArray) -> FloatArray:
    """Natural logarithm, torch's: numpy's differs in the last bit."""
    return np.asarray(torch.from_numpy(values).log().numpy())


def root(values: FloatArray) -> FloatArray:
    """Square root, torch's as well: where it is MKL's it differs from numpy's in the last bit."""
    return np.asarray(torch.from_numpy(values).sqrt().numpy())


def alike(
    work: Callable[[FloatArray], FloatArray], first: FloatArray, second: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What ``work`` makes of each row of two arrays: in one go where they have the same shape."""
    if first.shape != second.shape:
        return work(first), work(second)
    both = work(np.concatenate([first, second]))
    return both[: len(first)], both[len(first) :]
