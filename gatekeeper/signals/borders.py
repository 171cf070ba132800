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
"""Borders.

``wrap_step_across`` and ``wrap_step_down`` are the mean absolute difference of opposite borders,
in [0, 1]; turning an image round its edge makes them small. ``border_share`` and
``border_black_share`` are the mean share of lines that keeps one value from the border inwards,
any or black, over the four sides, in [0, 1]. ``border_slant`` is how much the black run changes
from line to line, px per px, in [0, 1]: 0 for straight bars, about the angle in radians for the
wedges that turning leaves. ``border_mirror`` is near 1 where the first 3 to 16 px of a side are the
mirror of what follows, 0 by chance.
"""

_LINES = 16
_LEAST_MIRROR_PX, _WIDEST_MIRROR_PX = 3, 16
_MIRROR_DEPTH, _MIRROR_LINE = 6, 3
_FLOOR = 2e-3


def border_signals(planes: Planes) -> list[Tensor]:
    """One tensor of shape (B,) per name of :data:`BORDER_NAMES`."""
    luma = planes.luma
    runs, black, slants, mirrors = zip(*map(_two_sides, (luma, luma.mT)), strict=True)
    return [
        (luma[..., 0] - luma[..., -1]).abs().mean(dim=1),
        (luma[:, 0] - luma[:, -1]).abs().mean(dim=1),
        *(torch.cat(part).mean(dim=0) for part in (runs, black, slants)),
        torch.cat(mirrors).amax(dim=0),
    ]


def _two_sides(luma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Constant share, black share, slant and mirror of the left and the right side, (2, B) each."""
    lines, step = _lines(luma)
    sides = torch.stack([lines, lines.flip(2)])
    length = lines.shape[2]
    run = _runs(sides)
    black = run * (sides[..., 0] <= BLACK)
    slant = ((black[..., 1:] - black[..., :-1]).abs_() / step).clamp_max_(1.0)
    constant = run * (run > 1.0)
    share = 1.0 / length
    return (
        constant.mean(dim=2) * share,
        black.mean(dim=2) * share,
        slant.mean(dim=2),
        _mirror(sides),
    )


def _lines(luma: Tensor) -> tuple[Tensor, int]:
    """Every so many lines from one border inwards, shape (B, at most ~2 · 16, length)."""
    step = max(1, luma.shape[1] // _LINES)
    return luma[:, ::step].contiguous(), step


def _runs(sides: Tensor) -> Tensor:
    """How many pixels of each line, from its first on, keep one value, shape (2, B, lines)."""
    differs = (sides - sides[..., :1]).abs_().gt_(BLACK)
    length = sides.shape[3]
    to_go = torch.arange(-length, 0, device=sides.device, dtype=torch.float32)
    return differs.mul_(to_go).amin(dim=3) + length


@lru_cache(maxsize=64)
def _mirrored(widest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places on both sides of the axis after 1…``widest`` px, and which of them exist."""
    n = torch.arange(1, widest + 1)[:, None]
    i = torch.arange(_MIRROR_DEPTH)[None, :]
    exists = (i < n).to(torch.float32)
    return (n - 1 - i).clamp_min(0).flatten(), (n + i).flatten(), exists


def _mirror(sides: Tensor) -> Tensor:
    """1 where the first 3…16 px repeat, mirrored, what follows them; 0 where none do; (2, B)."""
    widest = min(_WIDEST_MIRROR_PX + 1, sides.shape[3] - _MIRROR_DEPTH)
    if widest < _LEAST_MIRROR_PX + 1:
        return sides.new_zeros(sides.shape[:2])
    left, right, exists = (part.to(sides.device) for part in _mirrored(widest))
    few = sides[:, :, ::_MIRROR_LINE].contiguous()
    step = (few.index_select(3, left) - few.index_select(3, right)).abs_().mean(dim=2)
    off = (step.view(2, -1, widest, _MIRROR_DEPTH) * exists).sum(dim=3) / exists.sum(dim=1)
    around = 0.5 * (off[..., _LEAST_MIRROR_PX - 2 : -2] + off[..., _LEAST_MIRROR_PX:])
    inner = off[..., _LEAST_MIRROR_PX - 1 : -1]
    best = ((inner + _FLOOR) / (around + _FLOOR)).amin(dim=2)
    # Chance alone gives a half.
    return torch.rsub(best, 1.0, alpha=2.0).clamp_min(0.0)
