"""What all corruptions share: a severity table, a continuous level, clipping and rounding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.types import IntArray

SEVERITIES = (1, 2, 3, 4, 5)


def store_8_bit(images: Tensor) -> Tensor:
    """Clip to [0, 1] and round to 256 levels, as storing an image does; shape unchanged."""
    return (images.clamp(0.0, 1.0) * 255.0).round() / 255.0


class TabulatedCorruption(ABC):
    """A corruption whose strength is one number, with five tabulated severities.

    Subclasses declare ``name``, ``families``, ``levels`` (the severity table, in ``unit``) and
    write :meth:`degrade`.
    """

    name: ClassVar[str]
    families: ClassVar[tuple[str, ...]]
    levels: ClassVar[tuple[float, float, float, float, float]]
    unit: ClassVar[str]

    @abstractmethod
    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """(B, 3, H, W) at one level per image, shape (B, 1, 1, 1) -> the same shape, not clipped.

        A row depends on its own image, level and seed only.
        """

    def at(self, images: Tensor, *, level: float | Tensor, seeds: IntArray) -> Tensor:
        """Degrade at a continuous level, in ``unit``; one number, or one per image (B,).

        Raises:
            InputError: there is not one seed per image, or not one level per image.
        """
        levels = torch.as_tensor(level, dtype=torch.float32, device=images.device)
        if len(seeds) != len(images) or levels.shape not in {(), (len(images),)}:
            raise InputError(
                f"expected one seed per image ({len(images)}) and one level, or one per image, "
                f"got {len(seeds)} seeds and levels of shape {tuple(levels.shape)}"
            )
        levels = levels.expand(len(images)).reshape(-1, 1, 1, 1)
        return store_8_bit(self.degrade(images, levels, seeds))

    def __call__(self, images: Tensor, *, severity: int, seeds: IntArray) -> Tensor:
        """Degrade at a tabulated severity.

        Args:
            images: Shape (B, 3, H, W), in [0, 1]; left untouched.
            severity: 1 (mild) … 5 (severe).
            seeds: One integer per image, shape (B,).

        Returns:
            Shape (B, 3, H, W), in [0, 1], rounded to 8 bit.

        Raises:
            InputError: severity is not one of 1…5, or there is not one seed per image.
        """
        if isinstance(severity, float) or severity not in SEVERITIES:
            raise InputError(
                f"severity must be one of 1…5, got {severity!r}; clean is the absence of corruption"
            )
        return self.at(images, level=self.levels[severity - 1], seeds=seeds)
