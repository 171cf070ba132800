"""Noise: Gaussian, impulse, speckle, periodic."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from gatekeeper.corruptions.base import TabulatedCorruption
from gatekeeper.corruptions.randomness import pixel_normal, pixel_uniform, uniform
from gatekeeper.types import IntArray


class GaussianNoise(TabulatedCorruption):
    """Additive white Gaussian noise; level is its standard deviation."""

    name = "gaussian"
    families = ("gaussian",)
    levels: ClassVar = (0.08, 0.14, 0.2, 0.3, 0.4)
    unit = "standard deviation, share of full scale"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Add one normal draw per pixel."""
        return images + level * pixel_normal(images, seeds)


class ImpulseNoise(TabulatedCorruption):
    """Salt and pepper; level is the share of pixels replaced, half by 0 and half by 1."""

    name = "impulse"
    families = ("impulse",)
    levels: ClassVar = (0.03, 0.06, 0.1, 0.15, 0.22)
    unit = "share of pixels"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Replace a pixel where its uniform draw falls below the level."""
        draw = pixel_uniform(images, seeds)
        salt = (draw < level / 2).to(images.dtype)
        return torch.where(draw < level, salt, images)


class SpeckleNoise(TabulatedCorruption):
    """Multiplicative Gaussian noise; level is its standard deviation relative to the pixel."""

    name = "speckle"
    families = ("speckle",)
    levels: ClassVar = (0.2, 0.35, 0.5, 0.7, 0.9)
    unit = "standard deviation, share of the pixel value"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Scale every pixel by 1 + level · normal."""
        return images + images * level * pixel_normal(images, seeds)


class PeriodicNoise(TabulatedCorruption):
    """A plane sine wave over the whole image, as electrical interference leaves it.

    The level is its amplitude; an image's seed draws 2…9 whole cycles along each axis, the
    direction and the phase.
    """

    name = "periodic"
    families = ("periodic",)
    levels: ClassVar = (0.1, 0.15, 0.2, 0.3, 0.4)
    unit = "amplitude, share of full scale"
    cycles: ClassVar = (2, 9)

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Add the same wave to all channels."""
        low, high = self.cycles
        draws = uniform(seeds, 4, device=images.device)
        across = torch.floor(low + (high - low + 1) * draws[:, 0])
        down = torch.floor(low + (high - low + 1) * draws[:, 1])
        down = torch.where(draws[:, 2] < 0.5, -down, down)
        height, width = images.shape[2:]
        y = torch.arange(height, device=images.device, dtype=images.dtype) / height
        x = torch.arange(width, device=images.device, dtype=images.dtype) / width
        turns = across[:, None, None] * x + down[:, None, None] * y[:, None]
        wave = torch.sin(2.0 * math.pi * (turns + draws[:, 3, None, None]))
        return images + level * wave[:, None]
