from __future__ import annotations

import pytest

from gatekeeper.errors import InputError
from gatekeeper.report.heat_map import (
    SHADES,
    contrast,
    heat_map,
    ink_on,
    shade_colour,
    shade_of,
    shade_styles,
)


def test_contrast_of_known_colours() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.005)
    assert contrast((10, 20, 30), (10, 20, 30)) == 1.0


def test_every_shade_is_darker_than_the_one_before_and_readable() -> None:
    colours = [shade_colour(step) for step in range(SHADES)]
    white = [contrast(colour, (255, 255, 255)) for colour in colours]
    assert white == sorted(white)
    assert all(contrast(ink_on(step), colours[step]) >= 4.5 for step in range(SHADES))
    assert shade_styles().count("background:") == SHADES


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 0), (0.019, 0), (0.02, 1), (0.1, 5), (0.2, 9), (0.7, 9)]
)
def test_shades_of_a_risk(share: float, expected: int) -> None:
    assert shade_of(share, worst=0.2, best=0.0) == expected


def test_a_map_keeps_order_notes_and_holes() -> None:
    shares = {"fog": {1: 1.0, 5: None}, "shot_noise": {1: 0.25, 5: 0.0}}
    found = heat_map("T", "A", shares, worst=0.0, best=1.0, notes={"fog": "held out"})
    assert found.columns == ("1", "5")
    assert [row.name for row in found.rows] == ["fog", "shot noise"]
    assert found.rows[0].note == "held out"
    assert found.rows[0].cells[1] is None
    cell = found.rows[1].cells[0]
    assert (cell.text.replace("\u00a0", " "), cell.shade) == ("25.0 %", 7)
    assert cell.label == "shot noise, severity 1"


def test_a_map_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="0 corruptions"):
        heat_map("T", "A", {}, worst=0.0, best=1.0, notes={})
    with pytest.raises(InputError, match="two different ends"):
        heat_map("T", "A", {"fog": {1: 0.5}}, worst=1.0, best=1.0, notes={})
