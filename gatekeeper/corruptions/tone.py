"""Tone: exposure and contrast."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gatekeeper.corruptions.base import TabulatedCorruption
from gatekeeper.types import IntArray


class Dark(TabulatedCorruption):
    """Under-exposure: every pixel times the level."""

    name = "dark"
    families = ("dark",)
    levels: ClassVar = (0.7, 0.5, 0.35, 0.25, 0.15)
    unit = "factor"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Scale towards black."""
        del seeds  # deterministic
        return images * level


class Contrast(TabulatedCorruption):
    """Loss of contrast: the distance of every pixel from mid-grey (0.5) times the level."""

    name = "contrast"
    families = ("contrast",)
    levels: ClassVar = (0.7, 0.5, 0.35, 0.25, 0.15)
    unit = "factor"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Scale towards mid-grey."""
        del seeds  # deterministic
        return 0.5 + (images - 0.5) * level
