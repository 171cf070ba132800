"""Which pixels are known: masks are 1 where a pixel is known and 0 in holes."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift.draws import generators
from gatekeeper.types import BoolArray, FloatArray, IntArray

_STREAM = 7001
_PAPER_SIDE_PX = 256.0


def random_masks(seeds: IntArray, height: int, width: int) -> Tensor:
    """Masks to train on: strokes, boxes or missing borders, a third each.

    Per mask, in pixels of an image of side 256 and scaled by the shorter side / 256:

    - strokes: 1 to 6 polylines of 1 to 5 segments; angle 0.01 + {0 … 3} rad, mirrored in every
      second polyline, length 10 + {0 … 199}, width 5 + {0 … 99};
    - boxes: 1 to 4 of sides 30 … 150, at most the image's less 20, at least 10 from the border;
    - borders: each of the four with probability 0.5, at least one; 4 % to 25 % of the side.

    Args:
        seeds: Shape (B,); a mask depends on its own seed only.
        height: In pixels, at least 4.
        width: In pixels, at least 4.

    Returns:
        Shape (B, 1, H, W), float32, 1 where known and 0 in holes; each has both.

    Raises:
        InputError: a side is below 4 px.

    Source:
        The published training of ResShift (arXiv:2307.12348), strokes and boxes after LaMa
        (arXiv:2109.07161). Deviates in scaling by the side, and in drawing again a mask without
        holes or without known pixels.
    """
    if min(height, width) < 4:
        raise InputError(f"expected sides of at least 4 px, got {height}×{width}: enlarge them")
    drawn = [_random_mask(generator, height, width) for generator in generators(seeds, _STREAM)]
    known = np.stack(drawn) if drawn else np.ones((0, height, width), dtype=bool)
    return torch.from_numpy(known).float()[:, None]


def dead_areas(images: Tensor, *, least_side: int = 3, largest_share: float = 0.6) -> Tensor:
    """A mask of areas in which nothing was seen: dead rows and columns, covered rectangles.

    A pixel is in a hole where a square of ``least_side`` pixels around or beside it is of exactly
    one colour, or where its whole row or column is and no neighbouring one is of that colour.
    Noise, texture and gradients are never exactly flat; a saturated sky is, and is taken for a
    hole. An image that would be mostly holes is called whole: it is a drawing, not a photo.

    Args:
        images: Shape (B, 3, H, W), in [0, 1].
        least_side: Side of the smallest covered square, at least 2 px.
        largest_share: Above this share of holes an image counts as whole, in (0, 1].

    Returns:
        Shape (B, 1, H, W), 1 where known and 0 in holes; all 1 for images without holes.

    Raises:
        InputError: a value is outside its range.
    """
    if least_side < 2 or not 0.0 < largest_share <= 1.0:
        raise InputError(
            f"expected a least_side of 2 or more and a largest_share in (0, 1], got {least_side} "
            f"and {largest_share}"
        )
    holes = _flat_squares(images, least_side) | _flat_lines(images)
    holes |= _flat_lines(images.transpose(2, 3)).transpose(2, 3)
    few = holes.flatten(1).float().mean(dim=1) <= largest_share
    return 1.0 - (holes & few.reshape(-1, 1, 1, 1)).to(images.dtype)


def _flat_squares(images: Tensor, side: int) -> Tensor:
    """(B, 1, H, W), boolean: pixels that lie in some square of one colour."""
    if min(images.shape[2:]) < side:
        return torch.zeros_like(images[:, :1], dtype=torch.bool)
    highest = F.max_pool2d(images, side, stride=1)
    lowest = -F.max_pool2d(-images, side, stride=1)
    flat = (highest == lowest).all(dim=1, keepdim=True).to(images.dtype)
    rim = side - 1
    return F.max_pool2d(F.pad(flat, (rim, rim, rim, rim)), side, stride=1) > 0


def _flat_lines(images: Tensor) -> Tensor:
    """(B, 1, H, W), boolean: rows of one colour whose neighbours are not of that colour."""
    first = images[..., :1]
    flat = (images == first).all(dim=3).all(dim=1)
    same = (images[:, :, 1:] == images[:, :, :-1]).all(dim=3).all(dim=1)
    beside = F.pad(same, (1, 0)) | F.pad(same, (0, 1))
    return (flat & ~beside)[:, None, :, None].expand_as(images[:, :1])


def _random_mask(generator: np.random.Generator, height: int, width: int) -> BoolArray:
    while True:
        draw = (_strokes, _boxes, _borders)[generator.integers(3)]
        known = ~draw(generator, height, width)
        if known.any() and not known.all():
            return known


def _strokes(generator: np.random.Generator, height: int, width: int) -> BoolArray:
    scale = min(height, width) / _PAPER_SIDE_PX
    y, x = np.mgrid[:height, :width] + 0.5
    holes = np.zeros((height, width), dtype=bool)
    for line in range(generator.integers(1, 7)):
        place = generator.uniform(size=2) * (height, width)
        for _ in range(generator.integers(1, 6)):
            angle = 0.01 + generator.integers(4)
            angle = 2.0 * math.pi - angle if line % 2 else angle
            length = scale * (10 + generator.integers(200))
            thickness = scale * (5 + generator.integers(100))
            end = place + length * np.array([math.cos(angle), math.sin(angle)])
            end = end.clip(0, (height, width))
            holes |= _distance(y, x, place, end) <= max(0.5, thickness / 2.0)
            place = end
    return holes


def _distance(y: FloatArray, x: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    """Distance of each pixel from the segment between two points."""
    along = end - start
    length = max(float(along @ along), 1e-12)
    share = (((y - start[0]) * along[0] + (x - start[1]) * along[1]) / length).clip(0.0, 1.0)
    away: FloatArray = np.hypot(y - start[0] - share * along[0], x - start[1] - share * along[1])
    return away


def _boxes(generator: np.random.Generator, height: int, width: int) -> BoolArray:
    scale = min(height, width) / _PAPER_SIDE_PX
    holes = np.zeros((height, width), dtype=bool)
    for _ in range(generator.integers(1, 5)):
        spans = []
        for side in (height, width):
            margin = round(10 * scale)
            size = max(1, round(scale * generator.integers(30, 151)))
            size = max(1, min(size, side - 2 * margin))
            start = generator.integers(margin, side - margin - size + 1)
            spans.append(slice(start, start + size))
        holes[spans[0], spans[1]] = True
    return holes


def _borders(generator: np.random.Generator, height: int, width: int) -> BoolArray:
    holes = np.zeros((height, width), dtype=bool)
    missing = generator.uniform(size=4) < 0.5
    missing[generator.integers(4)] |= not missing.any()
    turned = holes
    for gone in missing:
        size = max(1, round(generator.uniform(0.04, 0.25) * turned.shape[0]))
        if gone:
            turned[:size] = True
        turned = np.rot90(turned)
    return holes
