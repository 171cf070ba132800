"""Two corruptions, one after the other."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gatekeeper.corruptions.base import SEVERITY_UNIT, Levels, TabulatedCorruption
from gatekeeper.corruptions.randomness import derived_seeds
from gatekeeper.types import IntArray

_SECOND_STREAM = 0x2ECD


class Composition(TabulatedCorruption):
    """``second`` applied to the stored result of ``first``, both at the same severity.

    The level is that severity. The second step draws from an independent stream of each seed.

    Args:
        first: What happens first.
        second: What happens to the result.
    """

    levels: Levels = (1.0, 2.0, 3.0, 4.0, 5.0)
    unit = SEVERITY_UNIT

    def __init__(self, first: TabulatedCorruption, second: TabulatedCorruption) -> None:
        self.first = first
        self.second = second
        self.name = f"{first.name}+{second.name}"
        self.families = tuple(dict.fromkeys((*first.families, *second.families)))
        self.source = "both parts"

    def table_for(self, height: int, width: int) -> dict[str, Any]:
        """Everything that determines the severities at this size, ready for JSON."""
        return {
            **super().table_for(height, width),
            "first": self.first.table_for(height, width),
            "second": self.second.table_for(height, width),
        }

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Both corruptions at each image's severity."""
        severity = level.flatten().double()
        once = self.first.at_severity(images, severity=severity, seeds=seeds)
        later = derived_seeds(seeds, _SECOND_STREAM)
        return self.second.at_severity(once, severity=severity, seeds=later)
