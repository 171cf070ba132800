"""The map of a level space: what the rule says over every pair of coordinates, and along each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from gatekeeper.levels.accuracy_process import accuracy_of_angle
from gatekeeper.levels.study import LevelStudy
from gatekeeper.types import BoolArray, FloatArray

CELLS = 32
STEPS = 81
_TWO_SIDED_95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelMap:
    """A slice of the space along two coordinates; the others are at their mildest.

    Attributes:
        x_name: Coordinate along x.
        y_name: Coordinate along y.
        x: Values of x in its own unit, shape (CELLS + 1,), ends included.
        y: Values of y.
        probability: That a level is reliable, shape (CELLS + 1, CELLS + 1), row = y.
        std: Standard deviation of the accuracy, the same shape: how little is known there.
        points: Levels tried, projected onto the slice, shape (n, 2).
        reliable: Their labels, shape (n,).
        in_slice: Whether the other coordinates of a level tried are at their mildest, shape (n,).
    """

    x_name: str
    y_name: str
    x: FloatArray
    y: FloatArray
    probability: FloatArray
    std: FloatArray
    points: FloatArray
    reliable: BoolArray
    in_slice: BoolArray

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON, rounded."""
        return {
            "x": {"name": self.x_name, "values": _rounded(self.x)},
            "y": {"name": self.y_name, "values": _rounded(self.y)},
            "probability": [_rounded(row, 4) for row in self.probability],
            "accuracy_std": [_rounded(row, 4) for row in self.std],
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """Accuracy along one coordinate; the others are at their mildest.

    Attributes:
        name: The coordinate.
        values: In its own unit, shape (STEPS,).
        accuracy: Estimated, shape (STEPS,).
        low: Lower end of the pointwise 95 % interval.
        high: Upper end.
    """

    name: str
    values: FloatArray
    accuracy: FloatArray
    low: FloatArray
    high: FloatArray

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON, rounded."""
        parts = {"values": self.values, "accuracy": self.accuracy}
        parts |= {"low": self.low, "high": self.high}
        return {"name": self.name, **{name: _rounded(part) for name, part in parts.items()}}


def level_maps(study: LevelStudy) -> list[LevelMap]:
    """One slice for each pair of coordinates; none where there is one coordinate only."""
    return [_slice(study, x, y) for x, y in combinations(range(study.space.dimension), 2)]


def profiles(study: LevelStudy) -> list[Profile]:
    """One line for each coordinate."""
    return [_line(study, axis) for axis in range(study.space.dimension)]


def _slice(study: LevelStudy, x: int, y: int) -> LevelMap:
    space = study.space
    side = np.linspace(0.0, 1.0, CELLS + 1)
    points = np.repeat(space.mildest[None], len(side) ** 2, axis=0)
    points[:, x], points[:, y] = np.tile(side, len(side)), np.repeat(side, len(side))
    known = study.process.posterior(points)
    low, high = (
        accuracy_of_angle(known.mean + sign * known.std, study.n_images) for sign in (-1.0, 1.0)
    )
    shape = (len(side), len(side))
    values = space.from_unit(np.repeat(side[:, None], space.dimension, axis=1))
    tried = space.from_unit(study.points)
    others = [axis for axis in range(space.dimension) if axis not in (x, y)]
    return LevelMap(
        x_name=space.names[x],
        y_name=space.names[y],
        x=values[:, x],
        y=values[:, y],
        probability=study.rule.probability(points).reshape(shape),
        std=((high - low) / 2).reshape(shape),
        points=tried[:, [x, y]],
        reliable=study.reliable,
        in_slice=np.asarray(np.isclose(study.points[:, others], space.mildest[others]).all(axis=1)),
    )


def _line(study: LevelStudy, axis: int) -> Profile:
    space = study.space
    side = np.linspace(0.0, 1.0, STEPS)
    points = np.repeat(space.mildest[None], STEPS, axis=0)
    points[:, axis] = side
    known = study.process.posterior(points)
    ends = [
        accuracy_of_angle(known.mean + sign * _TWO_SIDED_95 * known.std, study.n_images)
        for sign in (-1.0, 0.0, 1.0)
    ]
    return Profile(
        name=space.names[axis],
        values=space.from_unit(np.repeat(side[:, None], space.dimension, axis=1))[:, axis],
        accuracy=ends[1],
        low=ends[0],
        high=ends[2],
    )


def _rounded(values: Sequence[float] | FloatArray, digits: int = 5) -> list[float]:
    return [round(float(value), digits) for value in values]
