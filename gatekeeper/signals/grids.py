"""Grids that processing leaves: JPEG's 8×8 blocks and the squares of enlarged pixels."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gatekeeper.signals.planes import Planes, alike, root, row_means, row_sums
from gatekeeper.types import FloatArray

GRID_NAMES = ("blockiness", "blockiness_shifted", "jpeg_loss", "pixel_block")
"""Blocks, all without unit; 0 without blocks.

``blockiness`` is how far steps at every eighth line and column stand out from their neighbours,
over the mean step, in [−1, 4], for the grid that starts in the corner; ``blockiness_shifted`` for
the best of the eight places the grid may have. ``jpeg_loss`` is about 1 − quality / 100 of the JPEG
table that the image went through, in [0, 1], and 0 where there is no sign of one; it needs the grid
to start in the corner. ``pixel_block`` is log₂ of the side of equal squares of pixels, in [0, 3.5]:
1 for doubled pixels.

Source:
    Steps against their neighbours: after Wang, Bovik and Evans 2000, "Blind measurement of blocking
    artifacts in images". Multiples of a table's steps: after Fan and de Queiroz 2003,
    "Identification of bitmap compression history". Deviates in grading standard tables.
"""

_BLOCK = 8
_QUALITIES = (5, 8, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90)
# Steps of the standard luminance table at quality 50 (ITU-T T.81, table K.1), and where they are.
_COEFFICIENTS = (((0, 1), 11), ((1, 0), 12), ((1, 1), 12), ((0, 2), 10), ((2, 0), 14))
_MOST_BLOCKS = 150
_FLOOR = 1e-3
_WINDOW = 11


def grid_signals(planes: Planes) -> list[FloatArray]:
    """One array of shape (B,) per name of :data:`GRID_NAMES`."""
    across = torch.from_numpy(planes.across).mean(dim=1).numpy()
    down = torch.from_numpy(planes.down).mean(dim=2).numpy()
    columns, rows = alike(_phases, across, down)
    aligned = 0.5 * (columns[:, _BLOCK - 1] + rows[:, _BLOCK - 1])
    shifted = 0.5 * (np.maximum.reduce(columns, axis=1) + np.maximum.reduce(rows, axis=1))
    square = np.maximum(np.minimum(*alike(_spikiness, across, down)), 1.0)
    return [
        *np.minimum(np.maximum(np.stack([aligned, shifted]), -1.0), 4.0),
        _jpeg_loss(planes.luma),
        np.asarray(torch.from_numpy(square).log2_().numpy()),
    ]


def _phases(profile: FloatArray) -> FloatArray:
    """How far steps stand out from their neighbours', for each place modulo 8, shape (B, 8)."""
    n_rows, length = profile.shape
    beyond = np.concatenate([profile[:, :1], profile, profile[:, -1:]], axis=1)
    around = beyond[:, :-2] + beyond[:, 2:]
    around *= 0.5
    excess = np.zeros((n_rows, length + -length % _BLOCK), dtype=np.float32)
    np.subtract(profile, around, out=excess[:, :length])
    total = torch.from_numpy(excess.reshape(n_rows, -1, _BLOCK)).sum(dim=1).numpy()
    mean = total / _steps_per_phase(length)
    return np.asarray(mean / (row_means(profile)[:, None] + _FLOOR))


@lru_cache(maxsize=16)
def _steps_per_phase(length: int) -> FloatArray:
    """How many of so many steps are at each place modulo 8, at least 1, shape (8,)."""
    return np.maximum(np.bincount(np.arange(length) % _BLOCK, minlength=_BLOCK), 1).astype(
        np.float32
    )


def _spikiness(profile: FloatArray) -> FloatArray:
    """About the distance between steps where all change is in few of them; 1 where it is even."""
    half = min(_WINDOW, profile.shape[1]) // 2
    around = torch.from_numpy(profile)[:, None]
    for _ in range(2):
        around = F.avg_pool1d(around, 2 * half + 1, stride=1, padding=half, count_include_pad=False)
    own, smooth = (
        row_sums(np.stack([np.square(profile), profile * around[:, 0].numpy()])) + _FLOOR**2
    )
    return np.asarray(own / smooth)


def _step(at_50: int, quality: int) -> float:
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    return max(1.0, math.floor((at_50 * scale + 50) / 100))


@lru_cache(maxsize=1)
def _waves() -> Tensor:
    """Rows 0, 1, 2 of the orthonormal cosine transform of 8 values in grey levels, (3, 8)."""
    k = torch.arange(_BLOCK, dtype=torch.float32)
    rows = [torch.cos((2 * k + 1) * f * math.pi / 16) * 0.5 for f in range(3)]
    rows[0] = rows[0] / math.sqrt(2.0)
    return torch.stack(rows)


@lru_cache(maxsize=1)
def _tables() -> tuple[FloatArray, FloatArray]:
    """Step of each coefficient at each quality, (qualities, 5, 1); what the quality loses."""
    steps = [[_step(at_50, quality) for _, at_50 in _COEFFICIENTS] for quality in _QUALITIES]
    loss = 1.0 - np.array(_QUALITIES, dtype=np.float32) / 100
    return np.array(steps, dtype=np.float32)[..., None], loss


def _coefficients(luma: Tensor) -> Tensor:
    """Cosine coefficients of 8×8 blocks in grey levels, shape (B, 5, blocks)."""
    height, width = luma.shape[1:]
    n_columns, n_rows = width // _BLOCK, height // _BLOCK
    every = max(1, math.ceil(n_rows * n_columns / _MOST_BLOCKS))
    waves = _waves()
    bands = luma[..., : n_columns * _BLOCK].unfold(1, _BLOCK, _BLOCK * every).mT.contiguous()
    down = torch.matmul(waves * 255.0, bands)
    both = torch.matmul(
        down.reshape(*down.shape[:3], n_columns, _BLOCK), waves.T
    ).numpy()  # (B, rows, 3 down, columns, 3 across)
    return torch.from_numpy(
        np.stack([both[:, :, y, :, x] for (y, x), _ in _COEFFICIENTS], axis=1)
    ).flatten(2)


def _jpeg_loss(luma: FloatArray) -> FloatArray:
    """1 − quality / 100 of the coarsest table that the blocks' frequencies are multiples of."""
    steps, loss = _tables()
    turns = _coefficients(torch.from_numpy(luma)).numpy()[:, None] / steps
    off = turns - np.rint(turns)
    there = np.abs(turns, out=turns) > 0.5
    off = np.where(there, np.abs(off, out=off), 0.0)
    shape = (*off.shape[:2], -1)
    count = np.add.reduce(there.reshape(shape), axis=2).astype(np.float32)
    # Numbers that are no multiples are off by a quarter on average.
    fit = 1.0 - 4.0 * row_sums(off.reshape(shape)) / np.maximum(count, 1.0)
    fit = np.maximum(fit, 0.0)
    fit = fit * root(fit) * count / (count + 10.0)
    return np.asarray(np.maximum.reduce(fit * loss, axis=1))
