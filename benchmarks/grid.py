"""The rows of *test* (every image under every condition), and the rows that are fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmarks.study import in_group
from gatekeeper.corruptions import corruption
from gatekeeper.evidence import Plan
from gatekeeper.images import seeds_for
from gatekeeper.types import BoolArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """The conditions of *test*; N rows.

    Attributes:
        names: The distinct corruptions, "" for clean among them.
        kind: Position in ``names`` of each row's corruption, shape (N,).
        severities: 1…5, or 0 where clean, shape (N,).
        images: Number of each row's base image, 0…n_images−1, shape (N,).
        n_images: Number of base images.
    """

    names: tuple[str, ...]
    kind: IntArray
    severities: IntArray
    images: IntArray
    n_images: int

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Read off a plan."""
        names, kind = np.unique(plan.corruptions, return_inverse=True)
        distinct, images = np.unique(plan.positions, return_inverse=True)
        return cls(
            names=tuple(names.tolist()),
            kind=kind,
            severities=np.asarray(plan.severities, dtype=np.int64),
            images=images,
            n_images=len(distinct),
        )

    @property
    def clean(self) -> BoolArray:
        """Rows of clean images, shape (N,)."""
        return self._rows(np.array([name == "" for name in self.names]))

    def held_out(self, group: str) -> BoolArray:
        """Rows under a corruption of the group, shape (N,)."""
        return self._rows(in_group(np.array(self.names), group))

    def seen(self, group: str) -> BoolArray:
        """Rows that are clean or under a corruption outside the group, shape (N,)."""
        return ~self.held_out(group)

    def judged(self, group: str) -> IntArray:
        """Row numbers of the clean and the held-out rows, in the order of the grid."""
        return np.flatnonzero(self.clean | self.held_out(group))

    def families(self) -> dict[str, BoolArray]:
        """Fine family -> the rows under a corruption of it, shape (N,)."""
        families = {n: set(corruption(n).families) if n else set() for n in self.names}
        return {
            family: self._rows(np.array([family in families[n] for n in self.names]))
            for family in sorted(set().union(*families.values()))
        }

    def cells(self, group: str) -> list[tuple[str, int, IntArray]]:
        """Corruption, severity and row numbers of each held-out cell; each image once in each."""
        found = []
        for position in np.flatnonzero(in_group(np.array(self.names), group)):
            rows = np.flatnonzero(self.kind == position)
            levels = self.severities[rows]
            found += [
                (self.names[position], int(level), rows[levels == level])
                for level in np.unique(levels)
            ]
        return found

    def _rows(self, wanted: BoolArray) -> BoolArray:
        return np.asarray(wanted[self.kind])


def fit_rows(plan: Plan, allowed: BoolArray, seed: int) -> IntArray:
    """Looks that a predictor of this seed learns from: all clean, two thirds of the others.

    Args:
        plan: Of the part *fit*.
        allowed: Rows without the held-out group, shape (N,).
        seed: Each draws its own two thirds.
    """
    drawn = seeds_for(seed, plan.seeds.tolist(), "benchmarks/looks") % 3 < 2
    return np.flatnonzero(allowed & (drawn | (plan.corruptions == "")))


def thinned(rows: IntArray, most: int | None, seed: int) -> IntArray:
    """At most so many of the rows, drawn at random, in their old order; None keeps all."""
    if most is None or len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, size=most, replace=False))
