"""A space of distortion levels: a few continuous coordinates with units, each with a range.

A level is a point of the space. Samplers and models work in *unit coordinates*, in which every
range is 0…1; people and distortions work in the coordinates' own units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from scipy.stats import qmc

from gatekeeper.errors import InputError
from gatekeeper.types import FloatArray

MOST_AXES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinate:
    """One way to distort an image, with a continuous strength.

    Attributes:
        name: Its name in a spec.
        unit: What it is measured in.
        identity: The value at which nothing happens.
        lowest: Smallest value that makes sense.
        highest: Largest value that makes sense.
        symbol: Unit behind a number, for people; may be empty.
    """

    name: str
    unit: str
    identity: float
    lowest: float
    highest: float
    symbol: str = ""


COORDINATES: dict[str, Coordinate] = {
    coordinate.name: coordinate
    for coordinate in (
        Coordinate(
            name="rotation",
            unit="degrees, counter-clockwise",
            identity=0.0,
            lowest=-180.0,
            highest=180.0,
            symbol="°",
        ),
        Coordinate(
            name="scale", unit="factor of size", identity=1.0, lowest=0.2, highest=5.0, symbol="×"
        ),
        Coordinate(
            name="shift_x", unit="share of the width", identity=0.0, lowest=-1.0, highest=1.0
        ),
        Coordinate(
            name="shift_y", unit="share of the height", identity=0.0, lowest=-1.0, highest=1.0
        ),
        Coordinate(
            name="blur_sigma",
            unit="standard deviation, pixels",
            identity=0.0,
            lowest=0.0,
            highest=20.0,
            symbol="px",
        ),
        Coordinate(
            name="brightness",
            unit="factor of every pixel",
            identity=1.0,
            lowest=0.0,
            highest=5.0,
            symbol="×",
        ),
        Coordinate(
            name="contrast",
            unit="factor of the distance from the channel's mean",
            identity=1.0,
            lowest=0.0,
            highest=5.0,
            symbol="×",
        ),
        Coordinate(
            name="noise_sigma",
            unit="standard deviation, share of full scale",
            identity=0.0,
            lowest=0.0,
            highest=2.0,
        ),
        Coordinate(
            name="jpeg_quality",
            unit="quality; 100 leaves the image alone",
            identity=100.0,
            lowest=1.0,
            highest=100.0,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Axis:
    """A coordinate with the range that is studied.

    Raises:
        InputError: the range is empty or leaves that of the coordinate.
    """

    coordinate: Coordinate
    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse an impossible range."""
        known = self.coordinate
        finite = math.isfinite(self.low) and math.isfinite(self.high)
        if not finite or not known.lowest <= self.low < self.high <= known.highest:
            raise InputError(
                f"expected {known.name}=LOW:HIGH with {known.lowest:g} ≤ LOW < HIGH ≤ "
                f"{known.highest:g} ({known.unit}), got {self.low:g}:{self.high:g}"
            )

    @property
    def mildest(self) -> float:
        """The value of the range that distorts least."""
        return min(max(self.coordinate.identity, self.low), self.high)


@dataclass(frozen=True, slots=True)
class LevelSpace:
    """The product of one to six axes.

    Raises:
        InputError: there is no axis, there are more than six, or a coordinate comes twice.
    """

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        """Refuse a space that is none."""
        names = [axis.coordinate.name for axis in self.axes]
        if not 1 <= len(names) <= MOST_AXES or len(set(names)) != len(names):
            raise InputError(
                f"expected 1 to {MOST_AXES} different coordinates, got {', '.join(names) or 'none'}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coordinates, in the order of the spec."""
        return tuple(axis.coordinate.name for axis in self.axes)

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return len(self.axes)

    @property
    def spec(self) -> str:
        """The text from which :func:`parse_space` makes this space, to the last digit."""
        return ",".join(f"{a.coordinate.name}={a.low!r}:{a.high!r}" for a in self.axes)

    @property
    def mildest(self) -> FloatArray:
        """The level that distorts least, in unit coordinates, shape (dimension,)."""
        return self.to_unit(np.array([axis.mildest for axis in self.axes]))

    def to_unit(self, levels: FloatArray) -> FloatArray:
        """Levels (…, dimension) in their own units -> in unit coordinates."""
        low, high = self._ends()
        return (np.asarray(levels, dtype=np.float64) - low) / (high - low)

    def from_unit(self, points: FloatArray) -> FloatArray:
        """The inverse of :meth:`to_unit`; 0 and 1 give the ends of the ranges exactly."""
        low, high = self._ends()
        share = np.asarray(points, dtype=np.float64)
        return low * (1.0 - share) + high * share

    def _ends(self) -> tuple[FloatArray, FloatArray]:
        low = np.array([axis.low for axis in self.axes], dtype=np.float64)
        high = np.array([axis.high for axis in self.axes], dtype=np.float64)
        return low, high

    def named(self, point: FloatArray) -> dict[str, float]:
        """A point in unit coordinates as coordinate -> value in its own unit."""
        values = self.from_unit(point)
        return {name: float(value) for name, value in zip(self.names, values, strict=True)}

    def to_json(self) -> list[dict[str, Any]]:
        """The axes, ready for JSON."""
        return [
            {
                "name": axis.coordinate.name,
                "unit": axis.coordinate.unit,
                "symbol": axis.coordinate.symbol,
                "identity": axis.coordinate.identity,
                "low": axis.low,
                "high": axis.high,
            }
            for axis in self.axes
        ]

    def text(self, level: Mapping[str, float]) -> str:
        """A level for people: ``rotation 14°, noise_sigma 0.06``."""
        parts = [
            f"{axis.coordinate.name} {level[axis.coordinate.name]:.3g}{axis.coordinate.symbol}"
            for axis in self.axes
        ]
        return ", ".join(parts)


def parse_space(spec: str) -> LevelSpace:
    """A space from text such as ``rotation=0:60,noise_sigma=0:0.3``.

    Raises:
        InputError: a part is not NAME=LOW:HIGH, a name is unknown (near matches are named), a range
            is impossible, or the number of coordinates is not 1 to 6.

    Example:
        >>> parse_space("rotation=0:60,noise_sigma=0:0.3").names
        ('rotation', 'noise_sigma')
    """
    return LevelSpace(tuple(_axis(part.strip()) for part in spec.split(",")))


def _axis(part: str) -> Axis:
    name, equals, ends = part.partition("=")
    low, colon, high = ends.partition(":")
    if not equals or not colon:
        raise InputError(
            f"expected NAME=LOW:HIGH, such as rotation=0:60, joined by commas, got {part!r}"
        )
    if name not in COORDINATES:
        near = get_close_matches(name, COORDINATES, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(
            f"expected one of the coordinates {', '.join(COORDINATES)}, got {name!r}{hint}"
        )
    try:
        return Axis(COORDINATES[name], float(low), float(high))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"expected two numbers in {part!r}, got {ends!r}") from error


def sobol_points(dimension: int, n: int, *, seed: int) -> FloatArray:
    """The first n points of a scrambled Sobol sequence in the unit cube, shape (n, dimension).

    A longer call begins with the points of a shorter one.
    """
    sampler = qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(seed))
    # Drawn by powers of two, because scipy warns of any other number.
    points = sampler.random_base2(max(0, math.ceil(math.log2(max(n, 1)))))
    return np.asarray(points[:n], dtype=np.float64)


def grid_points(counts: Sequence[int]) -> FloatArray:
    """All points of a regular grid over the unit cube, ends included, shape (product, dimension).

    Args:
        counts: Points along each axis, at least 1 each; a single one lies in the middle.
    """
    lines = [np.linspace(0.0, 1.0, n) if n > 1 else np.array([0.5]) for n in counts]
    return np.stack([line.ravel() for line in np.meshgrid(*lines, indexing="ij")], axis=1)
