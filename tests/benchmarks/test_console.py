"""The benchmark of the console, quickly."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import console
from tests.report.browser import require_browser


def test_the_quick_benchmark_writes_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require_browser()
    console.main(["--quick", "--out", str(tmp_path)])
    body = json.loads((tmp_path / "console.json").read_text(encoding="utf-8"))
    figures = {figure["name"]: figure for figure in body["figures"]}
    assert list(figures) == ["first_paint_ms", "slider_ms", "page_kb"]
    # What does not depend on how fast this machine is.
    assert figures["page_kb"]["holds"]
    assert figures["page_kb"]["value"] > 60  # it has loaded the library for charts
    loads = [row for row in body["table"] if "load" in row]
    moves = [row for row in body["table"] if "move" in row]
    assert (len(loads), len(moves)) == (2, 5)
    assert [row["severity"] for row in moves] == [1, 3, 5, 2, 4]
    assert len({row["corruption"] for row in moves}) == 5
    assert loads[0]["requests"] >= 10
    assert figures["slider_ms"]["value"] == pytest.approx(np.median([row["ms"] for row in moves]))
    assert "slider_ms" in capsys.readouterr().out


def test_the_median_has_the_interval_of_its_order_statistics() -> None:
    values = [float(value) for value in range(1, 21)]
    # P(Binomial(20, ½) ≤ 5) = 0.0207: the sixth and the fifteenth of twenty keep 95 %.
    low, high = console.median_interval(values)
    assert low <= 6
    assert high >= 15
    assert (low, high) == (21 - high, 21 - low)
    assert console.median_interval([3.0]) == (3.0, 3.0)


def test_figures_are_judged_by_their_pessimistic_end() -> None:
    loads = [{"first_paint_ms": 100.0 + at, "kb": 120.0} for at in range(15)]
    moves = [{"ms": 290.0}] * 30 + [{"ms": 400.0}] * 30
    paint, slider, page = console.judge(loads, moves)
    assert (paint.value, paint.holds) == (107.0, True)
    assert (slider.value, slider.high, slider.holds) == (345.0, 400.0, False)
    assert (page.value, page.holds) == (120.0, True)


def test_the_image_is_the_seeds_own() -> None:
    assert console.image_file(1) == console.image_file(1) != console.image_file(2)
    with Image.open(BytesIO(console.image_file(1))) as read:
        assert (read.size, read.mode) == ((32, 32), "RGB")
