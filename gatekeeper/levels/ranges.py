"""Safe ranges: how far each coordinate may go, alone and together with the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gatekeeper.levels.classifier import LevelRule
from gatekeeper.levels.space import LevelSpace, grid_points, sobol_points
from gatekeeper.types import FloatArray

CERTAIN = 0.95
"""Probability of being reliable that every level of a safe range has."""

_STEPS = 200
_INNER = 1024
_SHARES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeRange:
    """How far one coordinate may go, in its own unit.

    Attributes:
        name: The coordinate.
        low: Lower end.
        high: Upper end.
    """

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeRanges:
    """What is safe, starting from the mildest level.

    Attributes:
        alone: Range of each coordinate while the others are at their mildest; empty where even
            the mildest level is not certain to be reliable.
        jointly: The same ranges shrunk by one factor, inside which every combination is safe.
        factor: That factor, in [0, 1].
    """

    alone: tuple[SafeRange, ...]
    jointly: tuple[SafeRange, ...]
    factor: float

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""

        def ends(ranges: tuple[SafeRange, ...]) -> dict[str, list[float]]:
            return {each.name: [each.low, each.high] for each in ranges}

        return {
            "alone": ends(self.alone),
            "jointly": ends(self.jointly),
            "joint_factor": self.factor,
            "probability": CERTAIN,
        }


def safe_ranges(rule: LevelRule, space: LevelSpace) -> SafeRanges:
    """Ranges in which the rule is certain that every level is reliable.

    They are read along 200 steps of each coordinate, and inside the joint box at its corners, a
    grid and 1,024 Sobol points: what lies between is taken to be as its neighbours.

    Args:
        rule: Says how probable it is that a level is reliable.
        space: The level space.
    """
    centre = space.mildest
    if not _certain(rule, centre[None]):
        return SafeRanges(alone=(), jointly=(), factor=0.0)
    ends = np.array([_reach(rule, centre, axis) for axis in range(space.dimension)])
    factor = _joint_factor(rule, centre, ends)
    return SafeRanges(
        alone=_named(space, ends),
        jointly=_named(space, centre[:, None] + factor * (ends - centre[:, None])),
        factor=factor,
    )


def _certain(rule: LevelRule, points: FloatArray) -> bool:
    return bool((rule.probability(points) >= CERTAIN).all())


def _reach(rule: LevelRule, centre: FloatArray, axis: int) -> tuple[float, float]:
    """Lower and upper end of the unbroken safe stretch about the centre, in unit coordinates."""
    found = []
    for end in (0.0, 1.0):
        steps = np.linspace(centre[axis], end, _STEPS + 1)
        line = np.repeat(centre[None], len(steps), axis=0)
        line[:, axis] = steps
        safe = rule.probability(line) >= CERTAIN
        found.append(float(steps[-1] if safe.all() else steps[max(0, int(np.argmin(safe)) - 1)]))
    return found[0], found[1]


def _joint_factor(rule: LevelRule, centre: FloatArray, ends: FloatArray) -> float:
    """Largest share of the single ranges whose whole box is safe."""
    dimension = len(centre)
    inside = np.concatenate(
        [
            grid_points([2] * dimension),
            grid_points([3] * dimension),
            sobol_points(dimension, _INNER, seed=0),
        ]
    )
    box = ends[:, 0] + inside * (ends[:, 1] - ends[:, 0])
    for step in range(_SHARES, -1, -1):
        if _certain(rule, centre + step / _SHARES * (box - centre)):
            return step / _SHARES
    return 0.0


def _named(space: LevelSpace, ends: FloatArray) -> tuple[SafeRange, ...]:
    low, high = space.from_unit(ends[:, 0]), space.from_unit(ends[:, 1])
    return tuple(
        SafeRange(name=name, low=float(low[axis]), high=float(high[axis]))
        for axis, name in enumerate(space.names)
    )


def sentence(ranges: tuple[SafeRange, ...], space: LevelSpace) -> str:
    """Ranges for people: ``rotation −14° to 14°, noise_sigma up to 0.06``."""
    parts = []
    for each, axis in zip(ranges, space.axes, strict=True):
        symbol = axis.coordinate.symbol
        rest = axis.mildest
        if each.low == each.high:
            parts.append(f"{each.name} not at all")
        elif each.low == rest:
            parts.append(f"{each.name} up to {_number(each.high)}{symbol}")
        elif each.high == rest:
            parts.append(f"{each.name} down to {_number(each.low)}{symbol}")
        else:
            low, high = _number(each.low), _number(each.high)
            parts.append(f"{each.name} {low}{symbol} to {high}{symbol}")
    return ", ".join(parts)


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
