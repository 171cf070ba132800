"""Tone: exposure, contrast, brightness, saturation."""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.corruptions.base import RowCorruption, Rows, TabulatedCorruption, spread
from gatekeeper.types import IntArray

_SOURCE = "Hendrycks, Dietterich 2019 (arXiv:1903.12261)"


class Dark(TabulatedCorruption):
    """Under-exposure: every pixel times the level."""

    name = "dark"
    families = ("dark",)
    levels = (0.7, 0.5, 0.35, 0.25, 0.15)
    unit = "factor"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Scale towards black."""
        del seeds  # deterministic
        return images * level


class Contrast(TabulatedCorruption):
    """Loss of contrast: the distance of every pixel from its channel's mean times the level.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261). Deviates in its own table for small images.
    """

    name = "contrast"
    families = ("contrast",)
    levels = (0.7, 0.5, 0.35, 0.25, 0.15)
    large_levels = (0.4, 0.3, 0.2, 0.1, 0.05)
    unit = "factor"
    source = _SOURCE
    definition = 2

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Scale towards the mean of each channel."""
        del seeds  # deterministic
        mean = images.double().mean(dim=(2, 3), keepdim=True).to(images.dtype)
        return mean + (images - mean) * level


class Brightness(TabulatedCorruption):
    """Over-exposure: the level is added to the value (largest channel) of every pixel.

    Hue and saturation stay, so a pixel is scaled; black becomes grey.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261).
    """

    name = "brightness"
    families = ("brightness",)
    levels = (0.05, 0.1, 0.15, 0.2, 0.3)
    large_levels = (0.1, 0.2, 0.3, 0.4, 0.5)
    unit = "share of full scale"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Raise the value of every pixel, at most to 1."""
        del seeds  # deterministic
        value = images.amax(dim=1, keepdim=True)
        raised = (value + level).clamp(0.0, 1.0)
        black = value <= 0
        factor = raised / torch.where(black, torch.ones_like(value), value)
        return torch.where(black, raised.expand_as(images), images * factor)


class Saturate(RowCorruption):
    """Colours faded (severities 1 and 2) or exaggerated (3 to 5).

    The saturation of every pixel is multiplied by a factor and a share is added. A pixel without
    colour has hue 0, so that an added share tints it red.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261).
    """

    name = "saturate"
    families = ("saturate",)
    parameters = ("factor", "added")
    small_rows: Rows = ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))
    large_rows: Rows = ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2))
    regimes = (0, 0, 1, 1, 1)  # between fading and exaggerating lies the image itself
    source = _SOURCE

    def transform(self, images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """Move every channel towards or away from the pixel's value."""
        del seeds  # deterministic
        value = images.amax(dim=1, keepdim=True)
        distance = value - images
        span = distance.amax(dim=1, keepdim=True)
        grey = span <= 0
        one = torch.ones_like(value)
        saturation = span / torch.where(value > 0, value, one)
        wanted = (saturation * spread(row["factor"]) + spread(row["added"])).clamp(0.0, 1.0)
        coloured = value - distance / torch.where(grey, one, span) * (value * wanted)
        red = torch.tensor([0.0, 1.0, 1.0], device=images.device).reshape(1, 3, 1, 1)
        return torch.where(grey, value - red * (value * wanted), coloured)
