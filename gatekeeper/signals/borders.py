"""What turning, shifting and padding leave at the borders of an image."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gatekeeper.signals.planes import BLACK, Planes, alike, row_means, row_sums
from gatekeeper.types import FloatArray, IntArray

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


def border_signals(planes: Planes) -> list[FloatArray]:
    """One array of shape (B,) per name of :data:`BORDER_NAMES`."""
    views = (planes.luma, planes.luma.swapaxes(1, 2))
    steps = [max(1, view.shape[1] // _LINES) for view in views]
    sides = [_sides(view, step) for view, step in zip(views, steps, strict=True)]
    if sides[0].shape == sides[1].shape:
        sides = [np.concatenate(sides)]
    found = [_read(*each) for each in zip(sides, steps, strict=False)]
    *means, mirrors = (np.concatenate(part) for part in zip(*found, strict=True))
    return [
        *alike(row_means, *(np.abs(view[..., 0] - view[..., -1]) for view in views)),
        *(np.add.reduce(part, axis=0) / len(part) for part in means),
        np.maximum.reduce(mirrors, axis=0),
    ]


def _sides(luma: FloatArray, step: int) -> FloatArray:
    """Lines from the left inwards and from the right inwards, every so many, (2, B, lines, W)."""
    lines = luma[:, ::step]
    sides = np.empty((2, *lines.shape), dtype=np.float32)
    sides[0], sides[1] = lines, lines[..., ::-1]
    return sides


def _read(sides: FloatArray, step: int) -> tuple[FloatArray, ...]:
    """Constant share, black share, slant and mirror of each side, (sides, B) each."""
    *_, n_lines, length = sides.shape
    run = _runs(sides)
    black = run * (sides[..., 0] <= BLACK)
    slant = np.abs(black[..., 1:] - black[..., :-1])
    slant /= step
    shares = np.add.reduce(np.stack([run * (run > 1.0), black]), axis=3) / n_lines
    shares *= 1.0 / length
    return (*shares, row_means(np.minimum(slant, 1.0, out=slant)), _mirror(sides))


def _runs(sides: FloatArray) -> FloatArray:
    """How many pixels of each line, from its first on, keep one value, (sides, B, lines)."""
    differs = np.abs(sides - sides[..., :1]) > BLACK
    first = differs.argmax(axis=3)
    # The first pixel never differs from itself: where it is named, none does.
    return np.asarray(np.where(first == 0, sides.shape[3], first), dtype=np.float32)


@lru_cache(maxsize=64)
def _mirrored(widest: int) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Places on both sides of the axis after 1…``widest`` px, which of them exist, how many."""
    n = np.arange(1, widest + 1)[:, None]
    i = np.arange(_MIRROR_DEPTH)[None, :]
    exists = (i < n).astype(np.float32)
    left = np.maximum(n - 1 - i, 0).ravel()
    return left, (n + i).ravel(), exists, exists.sum(axis=1)


def _mirror(sides: FloatArray) -> FloatArray:
    """1 where the first 3…16 px repeat, mirrored, what follows them; 0 where none do."""
    widest = min(_WIDEST_MIRROR_PX + 1, sides.shape[3] - _MIRROR_DEPTH)
    if widest < _LEAST_MIRROR_PX + 1:
        return np.zeros(sides.shape[:2], dtype=np.float32)
    left, right, exists, count = _mirrored(widest)
    few = sides[:, :, ::_MIRROR_LINE]
    steps = few.take(left, axis=3)
    steps -= few.take(right, axis=3)
    step = np.add.reduce(np.abs(steps, out=steps), axis=2) / steps.shape[2]
    off = row_sums(step.reshape(*step.shape[:2], widest, _MIRROR_DEPTH) * exists) / count
    around = 0.5 * (off[..., _LEAST_MIRROR_PX - 2 : -2] + off[..., _LEAST_MIRROR_PX:])
    inner = off[..., _LEAST_MIRROR_PX - 1 : -1]
    best = np.minimum.reduce((inner + _FLOOR) / (around + _FLOOR), axis=2)
    # Chance alone gives a half.
    return np.asarray(np.maximum(1.0 - 2.0 * best, 0.0))
