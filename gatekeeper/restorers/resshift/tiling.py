"""Images of any size: mirrored up to what the network takes, and large ones tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gatekeeper.errors import InputError


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of an image: its upper left corner and its size, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, images: Tensor, factor: int = 1) -> Tensor:
        """The tile cut out of images (B, C, H, W), or of latents ``factor`` times smaller."""
        top, left = self.top // factor, self.left // factor
        bottom, right = top + self.height // factor, left + self.width // factor
        return images[:, :, top:bottom, left:right]


def mirrored(images: Tensor, multiple: int) -> Tensor:
    """Images continued below and to the right, by mirroring, to sides that are multiples.

    Args:
        images: Shape (B, C, H, W), of any size from 1 px; a mask is continued like its image.
        multiple: Of which the sides must be multiples, at least 1.
    """
    height, width = images.shape[2:]
    rows, columns = (_mirror_index(side, side + -side % multiple) for side in (height, width))
    if len(rows) > height:
        images = images[:, :, rows.to(images.device)]
    if len(columns) > width:
        images = images[:, :, :, columns.to(images.device)]
    return images


def _mirror_index(side: int, wanted: int) -> Tensor:
    # 0 1 2 3 2 1 0 1 …: the border itself is not repeated; a single pixel is.
    period = max(1, 2 * (side - 1))
    place = torch.arange(wanted) % period
    return torch.minimum(place, period - place)[:wanted] if side > 1 else place


def tiles(height: int, width: int, *, side: int, overlap: int) -> Iterator[Tile]:
    """Overlapping tiles that cover an image, row by row; one tile where the image is no larger.

    Args:
        height: Of the image.
        width: Of the image.
        side: Of the tiles; where the image is smaller, so is the tile.
        overlap: By how much neighbours overlap at least, in [0, side).

    Raises:
        InputError: the overlap is outside its range.
    """
    if not 0 <= overlap < side:
        raise InputError(f"expected an overlap in [0, {side}), got {overlap}: half is plenty")
    for top in _starts(height, side, side - overlap):
        for left in _starts(width, side, side - overlap):
            yield Tile(top, left, min(side, height), min(side, width))


def _starts(length: int, side: int, step: int) -> list[int]:
    last = max(0, length - side)
    return [*range(0, last, step), last]


def by_tiles(images: Tensor, work: Callable[[Tile], Tensor], *, side: int, overlap: int) -> Tensor:
    """Do the work tile by tile; where tiles overlap, one fades into the other.

    Args:
        images: Shape (B, C, H, W); only its shape, type and device matter.
        work: Tile -> result for it, shape (B, C, height, width of the tile).
        side: As in :func:`tiles`.
        overlap: As in :func:`tiles`.

    Returns:
        Shape (B, C, H, W): at each pixel the mean of the tiles' results, weighted by the distance
        from the nearest border of each tile, at most ``overlap``.
    """
    height, width = images.shape[2:]
    found = list(tiles(height, width, side=side, overlap=overlap))
    if len(found) == 1:
        return work(found[0])
    total, weights = torch.zeros_like(images), torch.zeros_like(images[:1, :1])
    for tile in found:
        weight = (
            _fading(tile.height, overlap)[:, None] * _fading(tile.width, overlap)[None, :]
        ).to(images)
        tile.of(total).add_(weight * work(tile))
        tile.of(weights).add_(weight)
    return total / weights


def _fading(length: int, overlap: int) -> Tensor:
    place = torch.arange(1, length + 1, dtype=torch.float32)
    return torch.minimum(place, place.flip(0)).clamp(max=float(max(1, overlap)))
