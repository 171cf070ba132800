"""Charts as coordinates: data in, pixels out; the templates only write them down as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gatekeeper.metrics import ReliabilityBins
from gatekeeper.report.content import CurvePoints
from gatekeeper.report.numbers import short_percent
from gatekeeper.types import FloatArray, IntArray

LEGEND = {
    "policy": "whole policy, with restoration",
    "raw": "gatekeeper's reliability, without restoration",
    "msp": "the classifier's own top probability (MSP)",
    "oracle": "a perfect ranking of the same answers",
    "random": "no ranking: answers accepted by lot",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A rectangle of data laid on a rectangle of pixels; y grows downwards in pixels.

    Attributes:
        left: Pixels of x = 0.
        right: Pixels of ``x_max``.
        top: Pixels of ``y_max``.
        bottom: Pixels of y = 0.
        x_max: Largest x.
        y_max: Largest y.
    """

    left: float
    right: float
    top: float
    bottom: float
    x_max: float = 1.0
    y_max: float = 1.0

    def x(self, value: float) -> float:
        """Pixels from the left edge of the drawing."""
        return round(self.left + (self.right - self.left) * value / self.x_max, 2)

    def y(self, value: float) -> float:
        """Pixels from the upper edge of the drawing."""
        return round(self.bottom - (self.bottom - self.top) * value / self.y_max, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on an axis, with its place in pixels."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve of one method as the ``points`` of an SVG polyline."""

    method: str
    label: str
    points: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A single point, in pixels."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskCoverageChart:
    """Selective risk over coverage.

    Attributes:
        frame: Where the data lie.
        x_ticks: Marks of coverage.
        y_ticks: Marks of selective risk.
        lines: One per method, the policy last, on top.
        target_y: Height of the target risk, in pixels.
        point: What the policy did at its own thresholds; None if it accepted nothing.
    """

    frame: Frame
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    target_y: float
    point: Marker | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bin of a reliability diagram, in pixels, with its numbers."""

    x: float
    y: float
    y_low: float
    y_high: float
    bar_top: float
    mean_reliability: float
    accuracy: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityChart:
    """Observed accuracy over stated reliability, with a panel of counts below.

    Attributes:
        frame: Where the diagram lies.
        counts: Where the counts lie; its y is a count.
        ticks_x: Marks of stated reliability.
        ticks_y: Marks of accuracy.
        bins: From low to high reliability.
    """

    frame: Frame
    counts: Frame
    ticks_x: tuple[Tick, ...]
    ticks_y: tuple[Tick, ...]
    bins: tuple[Bin, ...]


def risk_coverage_chart(
    curves: Mapping[str, CurvePoints],
    *,
    target_risk: float,
    operating_point: tuple[float, float] | None,
) -> RiskCoverageChart:
    """Lay out the curves of one stream.

    The risk axis ends above the largest risk at full coverage and twice the target; the spikes of
    the first few accepted images are cut off there.

    Args:
        curves: Method → curve, at least one.
        target_risk: Drawn as a line, in [0, 1].
        operating_point: (coverage, selective risk) of the policy, or None.
    """
    ends = [float(curve.selective_risk[-1]) for curve in curves.values()]
    reached = [] if operating_point is None else [operating_point[1]]
    step, y_max = scale(min(1.0, 1.05 * max([0.01, 2 * target_risk, *ends, *reached])))
    frame = Frame(left=56, right=456, top=14, bottom=254, y_max=y_max)
    lines = tuple(
        Line(method=method, label=LEGEND[method], points=polyline(frame, curves[method]))
        for method in reversed(LEGEND)
        if method in curves
    )
    point = None
    if operating_point is not None:
        point = Marker(x=frame.x(operating_point[0]), y=frame.y(operating_point[1]))
    return RiskCoverageChart(
        frame=frame,
        x_ticks=_shares(frame.x, 0.2, 1.0),
        y_ticks=_shares(frame.y, step, y_max),
        lines=lines,
        target_y=frame.y(target_risk),
        point=point,
    )


def reliability_chart(bins: ReliabilityBins) -> ReliabilityChart:
    """Lay out one reliability diagram."""
    frame = Frame(left=52, right=312, top=12, bottom=272)
    counts = Frame(left=52, right=312, top=290, bottom=338, y_max=float(bins.count.max()))
    drawn = tuple(
        Bin(
            x=frame.x(float(mean)),
            y=frame.y(float(accuracy)),
            y_low=frame.y(float(low)),
            y_high=frame.y(float(high)),
            bar_top=counts.y(float(count)),
            mean_reliability=float(mean),
            accuracy=float(accuracy),
            low=float(low),
            high=float(high),
            count=int(count),
        )
        for mean, accuracy, low, high, count in zip(
            bins.mean_reliability, bins.accuracy, bins.low, bins.high, bins.count, strict=True
        )
    )
    return ReliabilityChart(
        frame=frame,
        counts=counts,
        ticks_x=_shares(frame.x, 0.2, 1.0),
        ticks_y=_shares(frame.y, 0.2, 1.0),
        bins=drawn,
    )


def scale(highest: float) -> tuple[float, float]:
    """Step and end of an axis from 0: a step of 1, 2 or 5 times a power of ten, 3 to 7 of them.

    Args:
        highest: Largest value to show, above 0.

    Example:
        >>> scale(0.13)
        (0.02, 0.14)
    """
    power = 10.0 ** math.floor(math.log10(highest / 3))
    step = next(m * power for m in (1, 2, 5, 10) if math.ceil(highest / (m * power) - 1e-9) <= 7)
    n_steps = math.ceil(highest / step - 1e-9)
    return round(step, 12), round(n_steps * step, 12)


def polyline(frame: Frame, curve: CurvePoints) -> str:
    """The ``points`` of a curve, thinned to what a pixel column can show.

    Args:
        frame: Where the curve is drawn; it may leave the frame upwards.
        curve: Any number of points.

    Example:
        >>> import numpy as np
        >>> curve = CurvePoints(coverage=np.array([0.5, 1]), selective_risk=np.array([0, 0.2]))
        >>> polyline(Frame(left=0, right=100, top=0, bottom=50), curve)
        '50,50 100,40'
    """
    coverage = np.asarray(curve.coverage, dtype=np.float64)
    risk = np.asarray(curve.selective_risk, dtype=np.float64)
    pixel = np.floor((frame.right - frame.left) * coverage / frame.x_max).astype(np.int64)
    kept = thin(pixel, risk)
    return " ".join(
        f"{frame.x(float(coverage[row])):g},{frame.y(float(risk[row])):g}" for row in kept
    )


def thin(pixel: IntArray, values: FloatArray) -> IntArray:
    """Rows that draw the same line: of each pixel column the first, lowest, highest and last.

    Args:
        pixel: Shape (M,), column of each point, never falling.
        values: Shape (M,).

    Returns:
        Rows to keep, rising.
    """
    starts = np.flatnonzero(np.diff(pixel, prepend=pixel[0] - 1))
    kept: set[int] = set()
    ends = [*starts[1:].tolist(), len(pixel)]
    for start, end in zip(starts.tolist(), ends, strict=True):
        column = values[start:end]
        kept |= {start, start + int(column.argmin()), start + int(column.argmax()), end - 1}
    return np.array(sorted(kept), dtype=np.int64)


def _shares(place: Callable[[float], float], step: float, highest: float) -> tuple[Tick, ...]:
    n_steps = round(highest / step)
    values = [round(index * step, 12) for index in range(n_steps + 1)]
    return tuple(Tick(at=place(value), label=short_percent(value)) for value in values)
