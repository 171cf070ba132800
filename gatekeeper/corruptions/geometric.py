"""Geometry: pixels in the wrong place.

Except for the circular shift, images are looked up bilinearly. What lies beyond the border is black
for one half of the seeds and a mirror image for the other.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from gatekeeper.corruptions.base import TabulatedCorruption
from gatekeeper.corruptions.randomness import uniform
from gatekeeper.corruptions.warping import grid, looked_up
from gatekeeper.types import IntArray


class HorizontalShift(TabulatedCorruption):
    """Circular shift to the right by whole pixels; what leaves one side enters on the other."""

    name = "horizontal_shift"
    families = ("shift",)
    levels = (1.0, 2.0, 3.0, 4.0, 6.0)
    unit = "pixels"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Roll every image by its own level, rounded to a whole pixel."""
        del seeds  # deterministic
        width = images.shape[3]
        columns = torch.arange(width, device=images.device) - level.reshape(-1, 1).round().long()
        index = columns.remainder(width)[:, None, None, :].expand_as(images)
        return images.gather(3, index)


class _Warp(TabulatedCorruption):
    """A map of the plane; subclasses say where the pixels come from."""

    @abstractmethod
    def places(
        self, x: Tensor, y: Tensor, size: tuple[int, int], level: Tensor, draws: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Column and row in the input of every output pixel, relative to the middle of the image.

        Args:
            x: Columns of the output relative to the middle, shape (1, 1, W).
            y: Rows of the output relative to the middle, shape (1, H, 1).
            size: Height and width.
            level: Shape (B, 1, 1).
            draws: Eight uniform draws of each image, each of shape (B, 1, 1), stacked in front.
        """

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Look every pixel up where it comes from."""
        draws = uniform(seeds, 9, device=images.device).T[:, :, None, None]
        height, width = images.shape[2:]
        middle = (width - 1) / 2, (height - 1) / 2
        x, y = grid(images)
        from_x, from_y = self.places(
            x - middle[0], y - middle[1], (height, width), level[:, 0], draws[1:]
        )
        black = draws[0].flatten() < 0.5
        return looked_up(images, from_x + middle[0], from_y + middle[1], black)


def _sign(draw: Tensor) -> Tensor:
    return torch.where(draw < 0.5, -1.0, 1.0)


class Rotation(_Warp):
    """Rotation about the middle; the seed draws the sense."""

    name = "rotation"
    families = ("rotation",)
    levels = (6.0, 12.0, 20.0, 30.0, 45.0)
    unit = "degrees"

    def places(
        self, x: Tensor, y: Tensor, size: tuple[int, int], level: Tensor, draws: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Turn the output back."""
        del size
        angle = torch.deg2rad(level) * _sign(draws[0])
        cosine, sine = torch.cos(angle), torch.sin(angle)
        return cosine * x + sine * y, cosine * y - sine * x


class Scale(_Warp):
    """Zoom about the middle; the seed draws whether in, or out with a border."""

    name = "scale"
    families = ("scale",)
    levels = (1.12, 1.25, 1.4, 1.65, 2.0)
    unit = "factor between the larger and the smaller"

    def places(
        self, x: Tensor, y: Tensor, size: tuple[int, int], level: Tensor, draws: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Multiply or divide by the factor."""
        del size
        level = level.clamp(min=1e-3)
        factor = torch.where(draws[0] < 0.5, 1.0 / level, level)
        return x * factor, y * factor


class Shift(_Warp):
    """Translation in a direction that the seed draws; level is its length as a share of the side.

    Along an axis the share is taken of that axis' side.
    """

    name = "shift"
    families = ("shift",)
    levels = (0.05, 0.1, 0.16, 0.23, 0.32)
    unit = "share of the side"

    def places(
        self, x: Tensor, y: Tensor, size: tuple[int, int], level: Tensor, draws: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Step back."""
        angle = 2.0 * math.pi * draws[0]
        height, width = size
        across, down = level * width * torch.cos(angle), level * height * torch.sin(angle)
        return x - across + 0 * y, y - down + 0 * x


class Shear(_Warp):
    """Shear along rows or columns, whichever the seed draws; level is the tangent of its angle."""

    name = "shear"
    families = ("shear",)
    levels = (0.1, 0.2, 0.32, 0.46, 0.65)
    unit = "tangent"

    def places(
        self, x: Tensor, y: Tensor, size: tuple[int, int], level: Tensor, draws: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Slant one coordinate by the other."""
        del size
        slope = level * _sign(draws[0])
        along_rows = draws[1] < 0.5
        none = torch.zeros_like(slope)
        across = torch.where(along_rows, slope, none) * y
        down = torch.where(along_rows, none, slope) * x
        return x + across, y + down


class Perspective(_Warp):
    """A tilted plane: each corner is looked up elsewhere, by at most the level along each axis.

    The seed draws for each corner and axis between one half and all of the level, and the sense.
    """

    name = "perspective"
    families = ("perspective",)
    levels = (0.05, 0.09, 0.14, 0.19, 0.25)
    unit = "share of the side"

    def places(
        self, x: Tensor, y: Tensor, size: tuple[int, int], level: Tensor, draws: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Solve for the projective map of the four corners and apply it."""
        level = level.clamp(-0.45, 0.45)  # from one half on corners could meet
        spread = 2.0 * draws[:, :, 0, 0].double().T - 1.0
        moves = (torch.sign(spread) + spread) / 2 * level.reshape(-1, 1).double()
        h = _homography(moves.reshape(-1, 4, 2))[:, :, None, None].float()
        height, width = size
        u, v = x / max(width, 2), y / max(height, 2)
        scale = h[:, 6] * u + h[:, 7] * v + 1.0
        from_u = (h[:, 0] * u + h[:, 1] * v + h[:, 2]) / scale
        from_v = (h[:, 3] * u + h[:, 4] * v + h[:, 5]) / scale
        return from_u * max(width, 2), from_v * max(height, 2)


def _homography(moves: Tensor) -> Tensor:
    """Projective map of the unit square about 0 whose corners move so, (B, 4, 2) -> (B, 8)."""
    corners = torch.tensor(
        [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]],
        dtype=torch.float64,
        device=moves.device,
    )
    batch = len(moves)
    target = corners + moves
    u, v = corners[:, 0].expand(batch, 4), corners[:, 1].expand(batch, 4)
    one, none = torch.ones_like(u), torch.zeros_like(u)
    a, b = target[:, :, 0], target[:, :, 1]
    upper = torch.stack([u, v, one, none, none, none, -u * a, -v * a], dim=2)
    lower = torch.stack([none, none, none, u, v, one, -u * b, -v * b], dim=2)
    solved: Tensor = torch.linalg.solve(torch.cat([upper, lower], dim=1), torch.cat([a, b], dim=1))
    return solved


class Crop(_Warp):
    """A window away from the middle, enlarged to the whole; level is the share of the side lost.

    The seed draws the window: along each axis in the outer quarters of where it may lie. Nothing
    beyond the border is seen.
    """

    name = "crop"
    families = ("crop",)
    levels = (0.1, 0.2, 0.3, 0.4, 0.52)
    unit = "share of the side"

    def places(
        self, x: Tensor, y: Tensor, size: tuple[int, int], level: Tensor, draws: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Shrink about a point away from the middle."""
        level = level.clamp(0.0, 0.95)
        found = []
        for place, side, draw in zip((x, y), size[::-1], draws[:2], strict=True):
            outward = torch.where(draw < 0.5, draw - 1.0, draw)  # −1…−0.5 or 0.5…1
            found.append(place * (1.0 - level) + outward * level * side / 2)
        return found[0] + 0 * y, found[1] + 0 * x
