from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.levels import LevelStudy, SearchOptions, fitted_process, parse_space, search
from gatekeeper.report import levels_page
from gatekeeper.report.levels_page import (
    LevelsContent,
    budget_sentence,
    render_levels,
    write_levels,
)
from gatekeeper.report.levels_view import verdict

N = 200
SPACE = parse_space("rotation=-60:60,brightness=0.4:1.6,noise_sigma=0:0.3")


def count(point: np.ndarray) -> int:
    """Falls by 0.3 from the mildest level to a distance of one half."""
    return round(N * (0.98 - 1.2 * ((point - SPACE.mildest) ** 2).sum()))


def a_study(threshold: float = 0.9, budget: int = 40) -> LevelStudy:
    options = SearchOptions(threshold=threshold, budget=budget)
    tried = search(lambda point: max(0, count(point)), N, 3, options, first=SPACE.mildest).arrays()
    return LevelStudy(
        space=SPACE,
        options=options,
        n_images=N,
        points=tried[0],
        n_correct=tried[1],
        n_evaluated=budget,
        process=fitted_process(*tried, N),
    )


@pytest.fixture(scope="module")
def study() -> LevelStudy:
    return a_study()


def content(study: LevelStudy, name: str = "digits") -> LevelsContent:
    return LevelsContent(
        name=name, study=study, data="some images", lineage={"classifier": "tiny & <small>"}
    )


def test_the_verdict_has_ranges_alone_and_jointly(study):
    alone, jointly = verdict(study)
    # 0.98 − 1.2 d² = 0.9 at d = 0.258: 31 degrees, 0.31, 0.077.
    assert alone.startswith("Each alone, the others at their mildest: rotation −")
    ranges = study.ranges()
    assert ranges.alone[0].high == pytest.approx(31, abs=4)
    assert ranges.alone[2].high == pytest.approx(0.077, abs=0.012)
    assert "noise_sigma up to 0.0" in jointly
    assert ranges.factor == pytest.approx(1 / np.sqrt(3), abs=0.1)


def test_nothing_safe_is_said_with_the_measured_accuracy():
    (line,) = verdict(a_study(threshold=0.99, budget=16))
    assert line.startswith("Nothing is safe: even at the mildest level (rotation 0°, brightness 1×")
    assert "measured there: 98.0" in line


def test_the_budget_says_what_had_been_kept(study):
    assert budget_sentence(study) == "40 levels × 200 images = 8,000 classifier evaluations"
    partly = replace(study, n_evaluated=10)
    assert budget_sentence(partly).endswith("evaluations, of which 6,000 had been kept")


def test_the_page_stands_alone_and_escapes(study):
    page = render_levels(content(study, "<b>mine</b>"))
    assert page == render_levels(content(study, "<b>mine</b>"))
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    assert "tiny &amp; &lt;small&gt;" in page
    assert "://" not in page
    assert page.count('role="img"') == 3 + 3
    # One circle or cross per level and map, and 40 levels.
    assert page.count('class="spot') == 3 * 40
    assert "✓ Safe ranges" in page
    assert len(page) < 500_000


def test_one_coordinate_has_no_map(study):
    space = parse_space("rotation=0:60")
    points, counts = np.linspace(0, 1, 6)[:, None], np.array([198, 196, 190, 150, 100, 50])
    line = replace(
        study,
        space=space,
        points=points,
        n_correct=counts,
        process=fitted_process(points, counts, N),
    )
    page = render_levels(content(line))
    assert "There is one coordinate only" in page
    assert page.count('role="img"') == 1


def test_both_files_are_written(study, tmp_path, monkeypatch):
    html, record = write_levels(tmp_path / "new", content(study))
    body = json.loads(record.read_text(encoding="utf-8"))
    assert body["name"] == "digits"
    assert len(body["maps"]) == 3
    assert len(body["profiles"]) == 3
    assert body["distortion_classifier"]["rebalance"] == "smote"
    assert html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    monkeypatch.setattr(levels_page, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="below 1,000 bytes"):
        write_levels(tmp_path, content(study))


def test_a_missing_second_opinion_says_why(study):
    always = replace(study, n_correct=np.full(40, N))
    page = render_levels(content(always))
    assert "Second opinion: none. SMOTE needs at least 2" in page
