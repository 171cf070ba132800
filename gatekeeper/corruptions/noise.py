"""Noise: Gaussian, shot, impulse, speckle, periodic."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gatekeeper.corruptions.base import TabulatedCorruption
from gatekeeper.corruptions.randomness import pixel_normal, pixel_uniform, uniform
from gatekeeper.types import IntArray

_SOURCE = "Hendrycks, Dietterich 2019 (arXiv:1903.12261)"


class GaussianNoise(TabulatedCorruption):
    """Additive white Gaussian noise; level is its standard deviation."""

    name = "gaussian"
    families = ("gaussian",)
    levels = (0.08, 0.14, 0.2, 0.3, 0.4)
    unit = "standard deviation, share of full scale"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Add one normal draw per pixel."""
        return images + level * pixel_normal(images, seeds)


class PublishedGaussianNoise(GaussianNoise):
    """:class:`GaussianNoise` with the published tables."""

    name = "gaussian_noise"
    levels = (0.04, 0.06, 0.08, 0.09, 0.10)
    large_levels = (0.08, 0.12, 0.18, 0.26, 0.38)
    source = _SOURCE


class ShotNoise(TabulatedCorruption):
    """Poisson noise of counted light; level is the number of photons that make full scale.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261). Counts are quantiles of one uniform draw per
        pixel: exact below a mean of 8, above it by an asymptotic expansion.
    """

    name = "shot_noise"
    families = ("shot",)
    levels = (500.0, 250.0, 100.0, 75.0, 50.0)
    large_levels = (60.0, 25.0, 12.0, 5.0, 3.0)
    unit = "photons at full scale"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Count the photons of every pixel."""
        return poisson_quantile(images.clamp(min=0.0) * level, pixel_uniform(images, seeds)) / level


class ImpulseNoise(TabulatedCorruption):
    """Salt and pepper; level is the share of pixels replaced, half by 0 and half by 1."""

    name = "impulse"
    families = ("impulse",)
    levels = (0.03, 0.06, 0.1, 0.15, 0.22)
    unit = "share of pixels"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Replace a pixel where its uniform draw falls below the level."""
        draw = pixel_uniform(images, seeds)
        salt = (draw < level / 2).to(images.dtype)
        return torch.where(draw < level, salt, images)


class PublishedImpulseNoise(ImpulseNoise):
    """:class:`ImpulseNoise` with the published tables."""

    name = "impulse_noise"
    levels = (0.01, 0.02, 0.03, 0.05, 0.07)
    large_levels = (0.03, 0.06, 0.09, 0.17, 0.27)
    source = _SOURCE


class SpeckleNoise(TabulatedCorruption):
    """Multiplicative Gaussian noise; level is its standard deviation relative to the pixel."""

    name = "speckle"
    families = ("speckle",)
    levels = (0.2, 0.35, 0.5, 0.7, 0.9)
    unit = "standard deviation, share of the pixel value"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Scale every pixel by 1 + level · normal."""
        return images + images * level * pixel_normal(images, seeds)


class PublishedSpeckleNoise(SpeckleNoise):
    """:class:`SpeckleNoise` with the published tables."""

    name = "speckle_noise"
    levels = (0.06, 0.1, 0.12, 0.16, 0.2)
    large_levels = (0.15, 0.2, 0.35, 0.45, 0.6)
    source = _SOURCE


class PeriodicNoise(TabulatedCorruption):
    """A plane sine wave over the whole image, as electrical interference leaves it.

    The level is its amplitude; an image's seed draws 2…9 whole cycles along each axis, the
    direction and the phase.
    """

    name = "periodic"
    families = ("periodic",)
    levels = (0.1, 0.15, 0.2, 0.3, 0.4)
    unit = "amplitude, share of full scale"
    cycles = (2, 9)

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


_EXACT_BELOW = 8.0
_MOST_STEPS = 48  # P(count > 48) at a mean of 8 is below what a 24-bit draw can tell from 0


def poisson_quantile(mean: Tensor, draw: Tensor) -> Tensor:
    """The count that a uniform draw picks from a Poisson distribution, elementwise.

    Args:
        mean: Expected counts, at least 0, any shape.
        draw: Uniform draws in (0, 1), the same shape.

    Returns:
        Whole numbers as floats; where the mean is 0, 0.

    Source:
        Giles 2016, ACM Transactions on Mathematical Software 42(1), algorithm 955: the expansion
        of the quantile about the normal one, for means of 8 and more, here to the third term.
    """
    z = torch.special.ndtri(draw)
    root = mean.clamp(min=_EXACT_BELOW).sqrt()
    count: Tensor = mean + root * z + (2 + z**2) / 6 - (2 * z + z**3) / (72 * root)
    count += (-16 + 7 * z**2 + 3 * z**4) / (810 * root**2)
    count = count.floor().clamp(min=0.0)
    few = mean < _EXACT_BELOW
    count[few] = _counted(mean[few], draw[few])
    return count


def _counted(mean: Tensor, draw: Tensor) -> Tensor:
    """The same by adding up probabilities until they exceed the draw."""
    probability = torch.exp(-mean)
    below = probability.clone()
    count = torch.zeros_like(mean)
    for step in range(1, _MOST_STEPS + 1):
        beyond = draw > below
        if not bool(beyond.any()):
            break
        count += beyond
        probability = probability * mean / step
        below = below + probability
    return count
