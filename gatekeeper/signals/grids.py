"""Grids that processing leaves: JPEG's 8×8 blocks and the squares of enlarged pixels."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from gatekeeper.signals.planes import Planes

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


def grid_signals(planes: Planes) -> list[Tensor]:
    """One tensor of shape (B,) per name of :data:`GRID_NAMES`."""
    across, down = planes.across.mean(dim=1), planes.down.mean(dim=2)
    columns, rows = _phases(across), _phases(down)
    aligned = 0.5 * (columns[:, _BLOCK - 1] + rows[:, _BLOCK - 1])
    shifted = 0.5 * (columns.amax(dim=1) + rows.amax(dim=1))
    square = torch.minimum(_spikiness(across), _spikiness(down))
    return [
        aligned.clamp(-1.0, 4.0),
        shifted.clamp(-1.0, 4.0),
        _jpeg_loss(planes.luma),
        square.clamp_min(1.0).log2(),
    ]


def _phases(profile: Tensor) -> Tensor:
    """How far steps stand out from their neighbours', for each place modulo 8, shape (B, 8)."""
    beyond = F.pad(profile[:, None], (1, 1), mode="replicate")[:, 0]
    excess = profile - 0.5 * (beyond[:, :-2] + beyond[:, 2:])
    missing = -excess.shape[1] % _BLOCK
    rows = F.pad(excess, (0, missing)).reshape(len(profile), -1, _BLOCK)
    count = torch.full((_BLOCK,), float(rows.shape[1]), device=profile.device)
    count[_BLOCK - missing :] -= 1.0
    mean = rows.sum(dim=1) / count.clamp_min(1.0)
    return torch.div(mean, profile.mean(dim=1, keepdim=True) + _FLOOR)


def _spikiness(profile: Tensor) -> Tensor:
    """About the distance between steps where all change is in few of them; 1 where it is even."""
    half = min(_WINDOW, profile.shape[1]) // 2
    around = profile[:, None]
    for _ in range(2):
        around = F.avg_pool1d(around, 2 * half + 1, stride=1, padding=half, count_include_pad=False)
    around = around[:, 0]
    own = profile.square().sum(dim=1)
    return (own + _FLOOR**2) / ((profile * around).sum(dim=1) + _FLOOR**2)


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
def _steps() -> Tensor:
    """Quantisation step of each coefficient at each quality, shape (qualities, 5, 1)."""
    table = [[_step(at_50, quality) for _, at_50 in _COEFFICIENTS] for quality in _QUALITIES]
    return torch.tensor(table)[..., None]


def _coefficients(luma: Tensor) -> Tensor:
    """Cosine coefficients of 8×8 blocks in grey levels, shape (B, 5, blocks)."""
    height, width = luma.shape[1:]
    n_columns, n_rows = width // _BLOCK, height // _BLOCK
    every = max(1, math.ceil(n_rows * n_columns / _MOST_BLOCKS))
    waves = _waves().to(luma.device)
    bands = luma[..., : n_columns * _BLOCK].unfold(1, _BLOCK, _BLOCK * every).mT.contiguous()
    down = torch.matmul(waves * 255.0, bands)
    both = torch.matmul(
        down.reshape(*down.shape[:3], n_columns, _BLOCK), waves.T
    )  # (B, rows, 3 down, columns, 3 across)
    return torch.stack([both[:, :, y, :, x].flatten(1) for (y, x), _ in _COEFFICIENTS], dim=1)


def _jpeg_loss(luma: Tensor) -> Tensor:
    """1 − quality / 100 of the coarsest table that the blocks' frequencies are multiples of."""
    turns = _coefficients(luma)[:, None] / _steps().to(luma.device)
    off = (turns - turns.round()).abs_()
    there = turns.abs_().gt_(0.5)
    count = there.flatten(2).sum(dim=2)
    # Numbers that are no multiples are off by a quarter on average.
    fit = 1.0 - 4.0 * (off * there).flatten(2).sum(dim=2) / count.clamp_min(1.0)
    fit = fit.clamp_min(0.0)
    fit = fit * fit.sqrt() * count / (count + 10.0)
    loss = 1.0 - torch.tensor(_QUALITIES, device=luma.device) / 100
    return (fit * loss).amax(dim=1)
