"""What turning, shifting and padding leave at the borders of an image."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from gatekeeper.signals.planes import BLACK, Planes

BORDER_NAMES = (
    "wrap_step_across",
    "wrap_step_down",
    "border_share",
    "border_black_share",
    "border_slant",
    "border_mirror",
)

_LINES = 16
_LEAST_MIRROR_PX, _WIDEST_MIRROR_PX = 3, 16
_MIRROR_DEPTH = 8
_FLOOR = 2e-3


def border_signals(planes: Planes) -> list[Tensor]:
    """One tensor of shape (B,) per name of :data:`BORDER_NAMES`."""
    luma = planes.luma
    rows, columns = _lines(luma), _lines(luma.mT)
    sides = [rows, (rows[0].flip(2), rows[1]), columns, (columns[0].flip(2), columns[1])]
    runs = [_runs(lines) for lines, _ in sides]
    black = [_runs(lines, of=0.0) for lines, _ in sides]
    slants = [
        ((b[:, 1:] - b[:, :-1]).abs() * (lines.shape[2] / step)).clamp_max(1.0).mean(dim=1)
        for b, (lines, step) in zip(black, sides, strict=True)
    ]
    return [
        (luma[..., 0] - luma[..., -1]).abs().mean(dim=1),
        (luma[:, 0] - luma[:, -1]).abs().mean(dim=1),
        _mean([run.mean(dim=1) for run in runs]),
        _mean([run.mean(dim=1) for run in black]),
        _mean(slants),
        torch.stack([_mirror(lines) for lines, _ in sides], dim=1).amax(dim=1),
    ]


def _mean(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts, dim=1).mean(dim=1)


def _lines(luma: Tensor) -> tuple[Tensor, int]:
    """Every so many lines from one border inwards, shape (B, at most ~2 · 16, length)."""
    step = max(1, luma.shape[1] // _LINES)
    return luma[:, ::step].contiguous(), step


def _runs(lines: Tensor, of: float | None = None) -> Tensor:
    """Share of each line, from its first pixel on, that keeps one value, shape (B, lines)."""
    first = lines[..., :1] if of is None else torch.full_like(lines[..., :1], of)
    differs = (lines - first).abs_() > BLACK
    length = lines.shape[2]
    place = torch.arange(length, device=lines.device, dtype=torch.float32)
    end = torch.where(differs, place, float(length)).amin(dim=2)
    if of is None:
        end = torch.where(end > 1.0, end, 0.0)
    return end / length


@lru_cache(maxsize=64)
def _mirrored(widest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places on both sides of the axis after 1…``widest`` px, and which of them exist."""
    n = torch.arange(1, widest + 1)[:, None]
    i = torch.arange(_MIRROR_DEPTH)[None, :]
    exists = (i < n).to(torch.float32)
    return (n - 1 - i).clamp_min(0).flatten(), (n + i).flatten(), exists


def _mirror(lines: Tensor) -> Tensor:
    """1 where the first 3…16 px repeat, mirrored, what follows them; 0 where none do."""
    widest = min(_WIDEST_MIRROR_PX + 1, lines.shape[2] - _MIRROR_DEPTH)
    if widest < _LEAST_MIRROR_PX + 1:
        return torch.zeros(len(lines), device=lines.device)
    left, right, exists = (part.to(lines.device) for part in _mirrored(widest))
    step = (lines.index_select(2, left) - lines.index_select(2, right)).abs_().mean(dim=1)
    off = (step.unflatten(1, (widest, _MIRROR_DEPTH)) * exists).sum(dim=2) / exists.sum(dim=1)
    around = 0.5 * (off[:, _LEAST_MIRROR_PX - 2 : -2] + off[:, _LEAST_MIRROR_PX:])
    inner = off[:, _LEAST_MIRROR_PX - 1 : -1]
    best = ((inner + _FLOOR) / (around + _FLOOR)).amin(dim=1)
    # Chance alone gives a half.
    return (1.0 - 2.0 * best).clamp_min(0.0)
