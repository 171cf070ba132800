"""Geometry: pixels in the wrong place."""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.corruptions.base import TabulatedCorruption
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
