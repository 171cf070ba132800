"""Charts of a level space as coordinates: slices as areas with a boundary, profiles as lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatekeeper.levels import LevelMap, Profile
from gatekeeper.report.charts import Tick
from gatekeeper.types import FloatArray

BANDS = (
    ("no", "not reliable, certainly", 0.05),
    ("rather-no", "rather not reliable", 0.25),
    ("open", "open", 0.75),
    ("rather-yes", "rather reliable", 0.95),
    ("yes", "reliable, certainly", 1.0),
)
"""Class, meaning and upper end of the probability of being reliable."""

_TICKS = 5


@dataclass(frozen=True, slots=True)
class Box:
    """Data ranges laid on a rectangle of pixels; y grows downwards in pixels."""

    left: float
    right: float
    top: float
    bottom: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """Pixels from the left edge."""
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return round(self.left + (self.right - self.left) * share, 1)

    def y(self, value: float) -> float:
        """Pixels from the upper edge."""
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return round(self.bottom - (self.bottom - self.top) * share, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A level tried, in pixels."""

    x: float
    y: float
    reliable: bool
    in_slice: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MapChart:
    """One slice.

    Attributes:
        box: Where the data lie.
        x_name: Label of the x axis.
        y_name: Label of the y axis.
        x_ticks: Marks of x.
        y_ticks: Marks of y.
        areas: Class of a band -> SVG path of its cells.
        boundary: SVG path on which the probability is one half; may be empty.
        spots: Levels tried.
    """

    box: Box
    x_name: str
    y_name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    areas: tuple[tuple[str, str], ...]
    boundary: str
    spots: tuple[Spot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChart:
    """Accuracy along one coordinate: ``line`` and ``band`` are points of SVG polygons."""

    box: Box
    name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    line: str
    band: str
    threshold_y: float


def map_chart(found: LevelMap) -> MapChart:
    """Lay out one slice."""
    box = _box(found.x, float(found.y[0]), float(found.y[-1]), bottom=286.0)
    return MapChart(
        box=box,
        x_name=found.x_name,
        y_name=found.y_name,
        x_ticks=_ticks_x(box),
        y_ticks=tuple(
            Tick(at=box.y(value), label=_label(value))
            for value in np.linspace(box.y_low, box.y_high, _TICKS).tolist()
        ),
        areas=_areas(box, found),
        boundary=contour(box, found.x, found.y, found.probability, 0.5),
        spots=tuple(
            Spot(x=box.x(x), y=box.y(y), reliable=bool(reliable), in_slice=bool(inside))
            for (x, y), reliable, inside in zip(
                found.points.tolist(), found.reliable, found.in_slice, strict=True
            )
        ),
    )


def profile_chart(found: Profile, threshold: float) -> ProfileChart:
    """Lay out the accuracy along one coordinate, with the threshold."""
    box = _box(found.values, 0.0, 1.0, bottom=206.0)

    def points(values: FloatArray) -> list[str]:
        pairs = zip(found.values.tolist(), values.tolist(), strict=True)
        return [f"{box.x(x):g},{box.y(y):g}" for x, y in pairs]

    return ProfileChart(
        box=box,
        name=found.name,
        x_ticks=_ticks_x(box),
        y_ticks=tuple(
            Tick(at=box.y(share / 4), label=f"{25 * share}\u00a0%") for share in range(5)
        ),
        line=" ".join(points(found.accuracy)),
        band=" ".join([*points(found.high), *reversed(points(found.low))]),
        threshold_y=box.y(threshold),
    )


def _box(x: FloatArray, y_low: float, y_high: float, *, bottom: float) -> Box:
    return Box(58.0, 338.0, 10.0, bottom, float(x[0]), float(x[-1]), y_low, y_high)


def _ticks_x(box: Box) -> tuple[Tick, ...]:
    values = np.linspace(box.x_low, box.x_high, _TICKS).tolist()
    return tuple(Tick(at=box.x(value), label=_label(value)) for value in values)


def _label(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _areas(box: Box, found: LevelMap) -> tuple[tuple[str, str], ...]:
    """Cells of one band as one path; neighbours along x are joined."""
    p = found.probability
    cells = (p[:-1, :-1] + p[1:, :-1] + p[:-1, 1:] + p[1:, 1:]) / 4
    band = np.searchsorted([end for _, _, end in BANDS[:-1]], cells, side="right")
    paths: dict[str, list[str]] = {name: [] for name, _, _ in BANDS}
    for row in range(band.shape[0]):
        starts = np.flatnonzero(np.diff(band[row], prepend=-1))
        ends = [*starts[1:].tolist(), band.shape[1]]
        top, bottom = box.y(float(found.y[row + 1])), box.y(float(found.y[row]))
        for start, end in zip(starts.tolist(), ends, strict=True):
            left, right = box.x(float(found.x[start])), box.x(float(found.x[end]))
            name = BANDS[int(band[row, start])][0]
            paths[name].append(f"M{left:g},{top:g}H{right:g}V{bottom:g}H{left:g}Z")
    return tuple((name, "".join(parts)) for name, parts in paths.items() if parts)


def contour(box: Box, x: FloatArray, y: FloatArray, values: FloatArray, level: float) -> str:
    """Where a surface passes a level, as an SVG path of straight pieces (marching squares).

    Args:
        box: Where the data lie.
        x: Shape (n,), rising.
        y: Shape (m,), rising.
        values: Shape (m, n), row = y.
        level: The level.
    """
    pieces = []
    for row in range(len(y) - 1):
        for column in range(len(x) - 1):
            ends = _crossings(x, y, values - level, row, column)
            # Two crossings, or four at a saddle, in order around the cell.
            for first, second in zip(ends[::2], ends[1::2], strict=True):
                pieces.append(
                    f"M{box.x(first[0]):g},{box.y(first[1]):g}"
                    f"L{box.x(second[0]):g},{box.y(second[1]):g}"
                )
    return "".join(pieces)


def _crossings(
    x: FloatArray, y: FloatArray, height: FloatArray, row: int, column: int
) -> list[tuple[float, float]]:
    corners = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
    found = []
    for one, other in zip(corners, corners[1:] + corners[:1], strict=True):
        a, b = float(height[one]), float(height[other])
        if (a >= 0) != (b >= 0):
            share = a / (a - b)
            found.append(
                (
                    float(x[one[1]] + share * (x[other[1]] - x[one[1]])),
                    float(y[one[0]] + share * (y[other[0]] - y[one[0]])),
                )
            )
    return found
