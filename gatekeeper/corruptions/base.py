"""What all corruptions share: severity tables, a continuous level, clipping and rounding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.types import IntArray

Levels: TypeAlias = tuple[float, float, float, float, float]
Rows: TypeAlias = tuple[tuple[float, ...], ...]

SEVERITIES = (1, 2, 3, 4, 5)
SEVERITY_UNIT = "severity"

LARGE_SIDE_PX = 64
"""From this shorter side on, the tables of ImageNet-C hold; below it, those of CIFAR-10-C."""

FULL_SIDE_PX = 224
"""The shorter side for which the lengths of the tables of ImageNet-C are meant."""


def store_8_bit(images: Tensor) -> Tensor:
    """Clip to [0, 1] and round to 256 levels, as storing an image does; shape unchanged."""
    return (images.clamp(0.0, 1.0) * 255.0).round() / 255.0


def is_large(height: int, width: int) -> bool:
    """Whether the tables for large images hold at this size."""
    return min(height, width) >= LARGE_SIDE_PX


def length_scale(height: int, width: int) -> float:
    """What lengths of the table are multiplied by: side / 224 from 64 to 224 px, else 1."""
    side = min(height, width)
    return side / FULL_SIDE_PX if LARGE_SIDE_PX <= side < FULL_SIDE_PX else 1.0


def interpolate_rows(
    rows: Sequence[Sequence[float]], severity: Tensor, regimes: Sequence[int] = (0, 0, 0, 0, 0)
) -> Tensor:
    """Rows of a severity table at continuous severities, shape (B, number of parameters).

    Linear between neighbouring rows and, outside 1…5, along the line through the two outermost
    rows. Rows of different regimes do not mix: the nearer row holds.

    Args:
        rows: Five rows of parameters.
        severity: Shape (B,), float64.
        regimes: The regime of each row.
    """
    table = torch.tensor(rows, dtype=torch.float64, device=severity.device)
    kinds = torch.tensor(regimes, device=severity.device)
    below = severity.floor().clamp(1, 4).long() - 1
    share = severity - (below + 1)
    split = kinds[below] != kinds[below + 1]
    share = torch.where(split, (share >= 0.5).to(share.dtype), share)[:, None]
    return table[below] * (1.0 - share) + table[below + 1] * share


class TabulatedCorruption(ABC):
    """A corruption whose strength is one number, with five tabulated severities.

    Subclasses declare ``name``, ``families``, ``levels`` (the severity table, in ``unit``) and
    write :meth:`degrade`. Where large images have a table of their own it is ``large_levels``.

    Attributes:
        name: Key in the mapping of corruptions.
        families: All fine families that it belongs to.
        levels: The level of each severity; for images whose shorter side is below 64 px if
            ``large_levels`` is given, else for all.
        large_levels: The level of each severity from 64 px on, or None.
        in_pixels: Whether ``large_levels`` are lengths in pixels, which shrink with the side
            below 224 px.
        unit: What a level is measured in.
        source: Where definition and tables come from.
        definition: Number of the present definition; it changes with the images that come out.
    """

    name: str
    families: tuple[str, ...]
    levels: Levels
    unit: str
    large_levels: Levels | None = None
    in_pixels: bool = False
    source: str = "ours"
    definition: int = 1

    @abstractmethod
    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """(B, 3, H, W) at one level per image, shape (B, 1, 1, 1) -> the same shape, not clipped.

        A row depends on its own image, level and seed only.
        """

    def levels_for(self, height: int, width: int) -> Levels:
        """The level of each severity, in ``unit``, for images of this size in pixels."""
        if self.large_levels is None or not is_large(height, width):
            return self.levels
        scale = length_scale(height, width) if self.in_pixels else 1.0
        one, two, three, four, five = (level * scale for level in self.large_levels)
        return one, two, three, four, five

    def table_for(self, height: int, width: int) -> dict[str, Any]:
        """Everything that determines the severities at this size, ready for JSON."""
        return {
            "corruption": self.name,
            "definition": self.definition,
            "unit": self.unit,
            "levels": list(self.levels_for(height, width)),
        }

    def at(self, images: Tensor, *, level: float | Tensor, seeds: IntArray) -> Tensor:
        """Degrade at a continuous level, in ``unit``; one number, or one per image (B,).

        Raises:
            InputError: there is not one seed per image, or not one finite level per image.
        """
        levels = _one_per_image(images, level, seeds, ("level", "levels")).to(torch.float32)
        return store_8_bit(self.degrade(images, levels.reshape(-1, 1, 1, 1), seeds))

    def at_severity(self, images: Tensor, *, severity: float | Tensor, seeds: IntArray) -> Tensor:
        """Degrade at a continuous severity: the corruption's own table, interpolated linearly.

        Args:
            images: Shape (B, 3, H, W), in [0, 1]; left untouched.
            severity: One number, or one per image (B,); meant for 0.5…5.5, taken from 0 to 6.
            seeds: One integer per image, shape (B,).

        Returns:
            Shape (B, 3, H, W), in [0, 1], rounded to 8 bit. At 1, 2, … 5 the same as a call with
            that severity.

        Raises:
            InputError: there is not one seed per image or not one severity in 0…6 per image.
        """
        severities = _one_per_image(images, severity, seeds, ("severity", "severities"))
        if bool(((severities < 0) | (severities > 6)).any()):
            raise InputError(
                f"expected severities of 0.5…5.5, at most 0…6, got {severities.min().item():g}…"
                f"{severities.max().item():g}; for other strengths use at(level=…)"
            )
        return self._at_severities(images, severities, seeds)

    def _at_severities(self, images: Tensor, severities: Tensor, seeds: IntArray) -> Tensor:
        height, width = images.shape[2:]
        rows = [(level,) for level in self.levels_for(height, width)]
        level = interpolate_rows(rows, severities).to(torch.float32)
        return store_8_bit(self.degrade(images, level.reshape(-1, 1, 1, 1), seeds))

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
        height, width = images.shape[2:]
        return self.at(images, level=self.levels_for(height, width)[severity - 1], seeds=seeds)


class RowTable(TabulatedCorruption):
    """A corruption of several parameters; its level is the severity itself, 0.5…5.5.

    Attributes:
        parameters: Names of the columns of the tables.
        lengths: Those that are lengths in pixels, which shrink with the side from 224 to 64 px.
        small_rows: Parameters of each severity, shorter side below 64 px.
        large_rows: Parameters of each severity from 64 px on.
        regimes: The regime of each severity; rows of different regimes are not interpolated.
    """

    levels: Levels = (1.0, 2.0, 3.0, 4.0, 5.0)
    unit: str = SEVERITY_UNIT
    parameters: tuple[str, ...]
    lengths: frozenset[str] = frozenset()
    small_rows: Rows
    large_rows: Rows
    regimes: tuple[int, ...] = (0, 0, 0, 0, 0)

    def rows_for(self, height: int, width: int) -> Rows:
        """The parameters of each severity for images of this size in pixels."""
        rows = self.large_rows if is_large(height, width) else self.small_rows
        scale = length_scale(height, width)
        factors = [scale if name in self.lengths else 1.0 for name in self.parameters]
        return tuple(
            tuple(value * factor for value, factor in zip(row, factors, strict=True))
            for row in rows
        )

    def table_for(self, height: int, width: int) -> dict[str, Any]:
        """Everything that determines the severities at this size, ready for JSON."""
        return {
            **super().table_for(height, width),
            "parameters": list(self.parameters),
            "rows": [list(row) for row in self.rows_for(height, width)],
            "regimes": list(self.regimes),
        }


class RowCorruption(RowTable):
    """One whose parameters are interpolated between severities; subclasses write `transform`."""

    @abstractmethod
    def transform(self, images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """(B, 3, H, W) -> the same shape, not clipped.

        Args:
            images: Shape (B, 3, H, W).
            row: Parameter -> its value for each image, shape (B,), float64, never negative.
            seeds: Shape (B,).
        """

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Interpolate the table at the level and apply :meth:`transform`."""
        height, width = images.shape[2:]
        severity = level.flatten().double()
        table = interpolate_rows(self.rows_for(height, width), severity, self.regimes).clamp(min=0)
        row = {name: table[:, column] for column, name in enumerate(self.parameters)}
        return self.transform(images, row, seeds)


def _one_per_image(
    images: Tensor, value: float | Tensor, seeds: IntArray, words: tuple[str, str]
) -> Tensor:
    one, many = words
    values = torch.as_tensor(value, dtype=torch.float64, device=images.device)
    if len(seeds) != len(images) or values.shape not in {(), (len(images),)}:
        raise InputError(
            f"expected one seed per image ({len(images)}) and one {one}, or one per image, "
            f"got {len(seeds)} seeds and {many} of shape {tuple(values.shape)}"
        )
    if not bool(torch.isfinite(values).all()):
        raise InputError(f"expected a finite {one}, got {values.flatten().tolist()[:8]}")
    return values.expand(len(images))


def spread(value: Tensor) -> Tensor:
    """One number per image (B,) as float32 (B, 1, 1, 1), to meet images."""
    return value.to(torch.float32).reshape(-1, 1, 1, 1)
