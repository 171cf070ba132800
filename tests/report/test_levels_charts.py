from __future__ import annotations

import re

import numpy as np
import pytest

from gatekeeper.levels import LevelMap, Profile
from gatekeeper.report.levels_charts import Box, contour, map_chart, profile_chart

BOX = Box(0.0, 100.0, 0.0, 100.0, 0.0, 1.0, 0.0, 1.0)


def pieces(path: str) -> list[list[float]]:
    return [
        [float(number) for number in re.findall(r"-?[\d.]+", piece)]
        for piece in path.split("M")
        if piece
    ]


def a_map(probability: np.ndarray) -> LevelMap:
    n = len(probability)
    return LevelMap(
        x_name="rotation",
        y_name="noise_sigma",
        x=np.linspace(-60, 60, n),
        y=np.linspace(0, 0.3, n),
        probability=probability,
        std=np.zeros((n, n)),
        points=np.array([[0.0, 0.0], [60.0, 0.3]]),
        reliable=np.array([True, False]),
        in_slice=np.array([True, False]),
    )


def test_a_plane_has_a_straight_boundary():
    side = np.linspace(0, 1, 5)
    values = np.tile(side, (5, 1))
    found = pieces(contour(BOX, side, side, values, 0.6))
    assert len(found) == 4
    for x0, _, x1, _ in found:
        assert (x0, x1) == (60.0, 60.0)
    assert contour(BOX, side, side, values, 1.5) == ""


def test_a_circle_has_a_round_boundary():
    side = np.linspace(0, 1, 41)
    x, y = np.meshgrid(side, side)
    found = pieces(contour(BOX, side, side, np.hypot(x - 0.5, y - 0.5), 0.3))
    radii = [np.hypot(a - 50, b - 50) for x0, y0, x1, y1 in found for a, b in ((x0, y0), (x1, y1))]
    assert len(found) > 60
    assert radii == pytest.approx([30.0] * len(radii), abs=0.3)


def test_a_saddle_has_two_pieces():
    side = np.array([0.0, 1.0])
    found = pieces(contour(BOX, side, side, np.array([[1.0, -1.0], [-1.0, 1.0]]), 0.0))
    assert len(found) == 2


def test_areas_cover_every_cell_once_by_band():
    probability = np.zeros((5, 5))
    probability[:, 2:] = 1.0
    chart = map_chart(a_map(probability))
    areas = dict(chart.areas)
    # Columns: no, half (open), yes, yes.
    assert set(areas) == {"no", "open", "yes"}
    boxes = re.findall(r"M([\d.]+),([\d.]+)H([\d.]+)V([\d.]+)H", areas["yes"])
    assert len(boxes) == 4
    assert {(left, right) for left, _, right, _ in boxes} == {("198", "338")}
    total = sum(
        (float(r) - float(left)) * (float(b) - float(t))
        for path in areas.values()
        for left, t, r, b in re.findall(r"M([\d.]+),([\d.]+)H([\d.]+)V([\d.]+)H", path)
    )
    assert total == pytest.approx(280 * 276, rel=1e-3)


def test_levels_tried_lie_where_they_belong():
    chart = map_chart(a_map(np.zeros((5, 5))))
    first, last = chart.spots
    assert (first.x, first.y, first.reliable, first.in_slice) == (198.0, 286.0, True, True)
    assert (last.x, last.y, last.reliable, last.in_slice) == (338.0, 10.0, False, False)
    assert [tick.label for tick in chart.x_ticks] == ["−60", "−30", "0", "30", "60"]
    assert chart.boundary == ""


def test_a_profile_by_hand():
    values = np.array([0.0, 0.15, 0.3])
    chart = profile_chart(
        Profile(
            name="noise_sigma",
            values=values,
            accuracy=np.array([1.0, 0.5, 0.0]),
            low=np.array([0.9, 0.4, 0.0]),
            high=np.array([1.0, 0.6, 0.1]),
        ),
        0.75,
    )
    assert chart.line == "58,10 198,108 338,206"
    assert chart.band == "58,10 198,88.4 338,186.4 338,206 198,127.6 58,29.6"
    assert chart.threshold_y == 59.0
    assert [tick.label for tick in chart.y_ticks][-1] == "100\u00a0%"
