"""Corruptions that are unlike the nineteen of ImageNet-C, for judging what was fitted on those.

All are ours, in the spirit of C-bar (Mintun, Kirillov, Xie 2021, arXiv:2102.11273). Their levels
were set by image quality alone: on the photographs of scikit-image, at 32 and at 224 px, the mean
PSNR of each severity is that of the nineteen.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gatekeeper.corruptions.base import TabulatedCorruption
from gatekeeper.corruptions.filtering import blue_field, padded, smooth_field
from gatekeeper.corruptions.plasma import plasma
from gatekeeper.corruptions.randomness import is_grey, normal, uniform
from gatekeeper.corruptions.warping import grid, looked_up
from gatekeeper.types import IntArray

_SOURCE = "ours, in the spirit of C-bar (arXiv:2102.11273)"


def _per_channel(images: Tensor, fields: list[Tensor]) -> Tensor:
    """Three fields (B, H, W) as (B, 3, H, W); a grey image gets the first in all channels."""
    stacked = torch.stack(fields, dim=1)
    return torch.where(is_grey(images)[:, None, None, None], stacked[:, :1], stacked)


class PlasmaNoise(TabulatedCorruption):
    """A rough fractal cloud added to each channel, about 0; level is its largest deviation."""

    name = "plasma_noise"
    families = ("plasma_noise",)
    levels = (0.1, 0.15, 0.18, 0.22, 0.27)
    large_levels = (0.2, 0.27, 0.32, 0.41, 0.48)
    unit = "amplitude, share of full scale"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Add 2 · plasma − 1 times the level."""
        height, width = images.shape[2:]
        decay = torch.full((len(images),), 1.3, dtype=torch.float64, device=images.device)
        clouds = [plasma(seeds, height, width, decay, stream=stream) for stream in range(3)]
        return images + level * (2.0 * _per_channel(images, clouds) - 1.0)


class BlueNoise(TabulatedCorruption):
    """Noise whose power grows with frequency; level is its standard deviation."""

    name = "blue_noise"
    families = ("blue_noise",)
    levels = (0.039, 0.059, 0.071, 0.087, 0.106)
    large_levels = (0.071, 0.096, 0.114, 0.147, 0.172)
    unit = "standard deviation, share of full scale"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Add white noise, shaped in the cosine basis."""
        height, width = images.shape[2:]
        fields = [
            blue_field(
                normal(seeds, height * width, stream=stream, device=images.device).reshape(
                    -1, height, width
                )
            )
            for stream in range(3)
        ]
        return images + level * _per_channel(images, fields)


class CheckerboardCutout(TabulatedCorruption):
    """Squares of a checkerboard painted over; level is the share of the image that is lost.

    Nine squares lie along the shorter side. The seed draws where the board begins, which squares
    of one colour are painted (the others never are) and black, grey or white for all of them.
    """

    name = "checkerboard_cutout"
    families = ("checkerboard_cutout",)
    levels = (0.025, 0.042, 0.05, 0.066, 0.08)
    large_levels = (0.044, 0.072, 0.09, 0.126, 0.165)
    unit = "share of the image, at most 0.5"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Paint a square where its draw is below twice the level."""
        height, width = images.shape[2:]
        edge = max(1, round(min(height, width) / 9))
        rows, columns = height // edge + 2, width // edge + 2
        draws = uniform(seeds, 3 + rows * columns, device=images.device)
        x, y = (torch.arange(n, device=images.device)[None, :] for n in (width, height))
        column = torch.div(x + (draws[:, 0, None] * 2 * edge).long(), edge, rounding_mode="floor")
        row = torch.div(y + (draws[:, 1, None] * 2 * edge).long(), edge, rounding_mode="floor")
        index = (row.remainder(rows) * columns)[:, :, None] + column.remainder(columns)[:, None, :]
        chosen = draws[:, 3:].gather(1, index.flatten(1)).reshape(-1, height, width)
        even = (row[:, :, None] + column[:, None, :]).remainder(2) == 0
        painted = even & (chosen < 2.0 * level[:, 0])
        paint = torch.floor(draws[:, 2] * 3)[:, None, None, None] / 2
        return torch.where(painted[:, None], paint, images)


_MOST_SPARKLES = 400


class Sparkles(TabulatedCorruption):
    """Four-pointed white glints; level is their number, a fraction being a fainter last one.

    The seed draws places and sizes; arms fade over a few hundredths of the shorter side.
    """

    name = "sparkles"
    families = ("sparkles",)
    levels = (0.9, 1.7, 2.4, 3.4, 4.8)
    large_levels = (3.8, 6.7, 8.7, 14.0, 18.7)
    unit = f"number, at most {_MOST_SPARKLES}"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Add one glint after the other."""
        height, width = images.shape[2:]
        side = min(height, width)
        count = min(_MOST_SPARKLES, math.ceil(max(0.0, level.max().item())))
        draws = uniform(seeds, 3 * count, device=images.device).reshape(len(images), count, 3)
        x, y = grid(images)
        light = torch.zeros_like(images[:, 0])
        for i in range(count):
            here = draws[:, i, :, None, None]
            across = (x - here[:, 0] * width).abs()
            down = (y - here[:, 1] * height).abs()
            arm = side * (0.03 + 0.05 * here[:, 2])
            core = 0.012 * side + 0.35
            star = torch.exp(-across / arm) * torch.exp(-((down / core) ** 2))
            star = star + torch.exp(-down / arm) * torch.exp(-((across / core) ** 2))
            light += star * (level[:, 0] - i).clamp(0.0, 1.0)
        return images + light[:, None]


class CausticWarp(TabulatedCorruption):
    """Seen through rippled water: bent by a smooth surface's slope and lit by its curvature.

    The surface is smoothed white noise. The level is the root mean square displacement; light
    gathers where the surface curves inwards, by the displacement's divergence.
    """

    name = "caustic_warp"
    families = ("caustic_warp",)
    levels = (0.0048, 0.007, 0.0084, 0.0099, 0.0121)
    large_levels = (0.0042, 0.0062, 0.0077, 0.0106, 0.0128)
    unit = "displacement, share of the side"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Bend, then lighten and darken."""
        height, width = images.shape[2:]
        side = min(height, width)
        noise = normal(seeds, height * width, device=images.device).reshape(-1, height, width)
        sigma = torch.full((len(images),), 0.07 * side, dtype=torch.float64, device=images.device)
        surface = smooth_field(noise.double(), sigma)
        down, across = _slope(surface, 1), _slope(surface, 2)
        slope = (down**2 + across**2).mean(dim=(1, 2), keepdim=True).sqrt()
        bend = (level[:, 0].double() * side) / slope.clamp(min=1e-12)
        curvature = _slope(down, 1) + _slope(across, 2)
        light = (1.0 + bend * curvature).clamp(0.3, 2.0).float()
        x, y = grid(images)
        return (
            looked_up(images, x + (bend * across).float(), y + (bend * down).float())
            * light[:, None]
        )


def _slope(field: Tensor, axis: int) -> Tensor:
    """Half the difference of the two neighbours along an axis, borders repeated."""
    size = field.shape[axis]
    wide = padded(field, 1, axis, border="edge")
    return (wide.narrow(axis, 2, size) - wide.narrow(axis, 0, size)) / 2


class ConcentricWaves(TabulatedCorruption):
    """Rings that run out from a point, as where a stone fell: a wave-like radial displacement.

    The seed draws the point and the phase; a wave is a sixth of the shorter side long. The level is
    the amplitude.
    """

    name = "concentric_waves"
    families = ("concentric_waves",)
    levels = (0.019, 0.029, 0.036, 0.049, 0.066)
    large_levels = (0.0106, 0.0172, 0.024, 0.0436, 0.07)
    unit = "displacement, share of the side"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Look up along the radius."""
        height, width = images.shape[2:]
        side = min(height, width)
        draws = uniform(seeds, 3, device=images.device).T[:, :, None, None]
        x, y = grid(images)
        across, down = x - draws[0] * width, y - draws[1] * height
        radius = torch.sqrt(across**2 + down**2).clamp(min=1e-3)
        wave = torch.sin(2.0 * math.pi * (6.0 * radius / side + draws[2]))
        stretch = level[:, 0] * side * wave / radius
        return looked_up(images, x + stretch * across, y + stretch * down)
