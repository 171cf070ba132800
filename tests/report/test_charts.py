from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.metrics import ReliabilityBins
from gatekeeper.report.charts import (
    Frame,
    polyline,
    reliability_chart,
    risk_coverage_chart,
    scale,
    thin,
)
from gatekeeper.report.content import CurvePoints


def curve(coverage: list[float], risk: list[float]) -> CurvePoints:
    return CurvePoints(coverage=np.array(coverage), selective_risk=np.array(risk))


def test_frame_maps_data_to_pixels_with_y_upwards() -> None:
    frame = Frame(left=10, right=110, top=20, bottom=70, x_max=2.0, y_max=0.5)
    assert [frame.x(value) for value in (0, 0.5, 2)] == [10, 35, 110]
    assert [frame.y(value) for value in (0, 0.1, 0.5)] == [70, 60, 20]


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        (1.0, (0.2, 1.0)),
        (0.3, (0.1, 0.3)),
        (0.29, (0.05, 0.3)),
        (0.07, (0.01, 0.07)),
        (0.011, (0.002, 0.012)),
    ],
)
def test_scale_has_round_steps_and_reaches_the_highest(
    highest: float, expected: tuple[float, float]
) -> None:
    assert scale(highest) == expected


def test_risk_coverage_chart_by_hand() -> None:
    # Risk at full coverage 0.19 · 1.05 = 0.1995, so the axis ends at 0.2 in steps of 0.05; 400 px
    # are 100 % of coverage and 240 px are 20 % of risk.
    chart = risk_coverage_chart(
        {"msp": curve([0.5, 1], [0.1, 0.19]), "policy": curve([0.25, 1], [0, 0.19])},
        target_risk=0.05,
        operating_point=(0.75, 0.1),
    )
    assert (chart.frame.left, chart.frame.right) == (56, 456)
    assert (chart.frame.top, chart.frame.bottom) == (14, 254)
    assert [tick.label.replace("\u00a0", " ") for tick in chart.y_ticks] == [
        "0 %",
        "5 %",
        "10 %",
        "15 %",
        "20 %",
    ]
    assert [tick.at for tick in chart.y_ticks] == [254, 194, 134, 74, 14]
    assert [tick.at for tick in chart.x_ticks] == [56, 136, 216, 296, 376, 456]
    assert [(line.method, line.points) for line in chart.lines] == [
        ("msp", "256,134 456,26"),
        ("policy", "156,254 456,26"),
    ]
    assert chart.target_y == 194
    assert chart.point is not None
    assert (chart.point.x, chart.point.y) == (356, 134)


def test_a_chart_without_errors_still_shows_its_target() -> None:
    chart = risk_coverage_chart({"raw": curve([1], [0])}, target_risk=0.05, operating_point=None)
    assert chart.point is None
    assert chart.frame.top < chart.target_y < chart.frame.bottom
    assert chart.lines[0].points == "456,254"


def test_thin_keeps_first_lowest_highest_and_last_of_each_column() -> None:
    pixel = np.array([0, 0, 0, 0, 0, 3, 4, 4])
    values = np.array([5.0, 1.0, 3.0, 9.0, 4.0, 7.0, 2.0, 2.0])
    assert thin(pixel, values).tolist() == [0, 1, 3, 4, 5, 6, 7]


def test_a_long_curve_is_thinned_but_keeps_its_ends_and_extremes() -> None:
    n = 50_000
    risk = np.linspace(0, 0.2, n)
    risk[20_000] = 0.9
    points = polyline(
        Frame(left=0, right=100, top=0, bottom=100),
        CurvePoints(coverage=np.arange(1, n + 1) / n, selective_risk=risk),
    ).split(" ")
    assert len(points) <= 4 * 101
    assert points[0] == "0,100"
    assert points[-1] == "100,80"
    assert any(point.endswith(",10") for point in points)


def test_reliability_chart_by_hand() -> None:
    # 260 px are 100 % both ways; the larger count fills the 48 px of the panel below.
    chart = reliability_chart(
        ReliabilityBins(
            mean_reliability=np.array([0.5, 0.9]),
            accuracy=np.array([0.4, 1.0]),
            count=np.array([10, 40]),
            low=np.array([0.1, 0.9]),
            high=np.array([0.7, 1.0]),
        )
    )
    first, second = chart.bins
    assert (first.x, first.y, first.y_low, first.y_high) == (182, 168, 246, 90)
    assert first.bar_top == 326
    assert (second.x, second.y, second.y_high, second.bar_top) == (286, 12, 12, 290)
    assert (second.count, second.low) == (40, 0.9)
