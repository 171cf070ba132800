"""Benchmark ``failure_detection``: how figures are pooled, and the quick run from end to end."""

from __future__ import annotations

import json
import math
from statistics import fmean

import numpy as np
import pytest

from benchmarks import failure_detection, held_out
from benchmarks.detection import Comparison
from benchmarks.failure_detection import (
    TARGETS,
    Measured,
    family_rows,
    mean_figure,
    measure,
    worst_figure,
)
from benchmarks.ours import OURS
from benchmarks.redraws import Ends, Estimate, Redraws
from benchmarks.study import Study
from tests.benchmarks.stub_rotation import StubRotation


def measured(values: list[float], lows: dict[tuple[str, str, bool], float]) -> Measured:
    flat = np.zeros(4)
    return Measured(
        estimates={"gap_closed_seen": [Estimate(value=v, influence=flat) for v in values]},
        notes={"gap_closed_seen": ", a note"},
        comparisons=[
            Comparison(
                family=family,
                group=group,
                held_out=held,
                ours=0.9 + low,
                msp=0.9,
                ends=Ends(value=low + 0.005, low=low, high=low + 0.01),
            )
            for (family, group, held), low in lows.items()
        ],
        rows=[],
    )


LOWS = {("fog", "noise", False): 0.01, ("fog", "blur", False): -0.02, ("", "noise", False): -0.001}
MORE = {("fog", "tone and weather", True): -0.03, ("", "blur", False): 0.002}


def test_a_mean_figure_is_over_classifiers_and_seeds() -> None:
    found = {"one": measured([0.5, 0.6], LOWS), "two": measured([0.7, 0.8], MORE)}
    figure = mean_figure("gap_closed_seen", found, Redraws(4, n_draws=3))
    assert figure.value == pytest.approx(0.65)
    assert (figure.low, figure.high) == pytest.approx((0.65, 0.65))
    assert figure.holds
    assert figure.note.endswith("one: 0.5500, a note; two: 0.7500, a note")


def test_each_seed_has_an_interval_and_their_ends_are_averaged() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0])
    estimate = Estimate(value=0.5, influence=(values - 0.5) / 4)
    sure = Estimate(value=0.5, influence=np.zeros(4))
    one = measured([], LOWS)
    one.estimates["gap_closed_seen"] = [estimate, sure]
    redraws = Redraws(4, n_draws=500)
    ends = redraws.interval(estimate)
    figure = mean_figure("gap_closed_seen", {"one": one}, redraws)
    assert figure.low == pytest.approx((ends.low + 0.5) / 2)
    assert figure.high == pytest.approx((ends.high + 0.5) / 2)
    assert figure.low < 0.5 < figure.high


def test_the_worst_family_is_the_one_with_the_lowest_bound() -> None:
    found = {"one": measured([0.5], LOWS), "two": measured([0.5], MORE)}
    figure = worst_figure("worst_family_vs_msp", found)
    assert (figure.low, figure.value) == pytest.approx((-0.03, -0.025))
    assert not figure.holds
    assert "fog with held-out blur" in figure.note
    assert "fog held out with tone and weather" in figure.note


def test_clean_images_are_judged_apart() -> None:
    found = {"one": measured([0.5], LOWS), "two": measured([0.5], MORE)}
    figure = worst_figure("clean_vs_msp", found)
    assert figure.low == pytest.approx(-0.001)
    assert figure.holds
    assert "clean images with held-out noise" in figure.note


def test_family_rows_tell_held_out_from_seen() -> None:
    rows = family_rows("one", measured([0.5], LOWS | MORE).comparisons)
    ours = {(row["family"], row["pool"]): row for row in rows if row["method"] == OURS}
    assert set(ours) == {("fog", "seen"), ("fog", "held-out"), ("", "clean")}
    assert ours["fog", "seen"]["failure_auroc"] == pytest.approx(0.9 + (0.01 - 0.02) / 2)
    assert ours["fog", "seen"]["vs_msp_lowest_bound"] == pytest.approx(-0.02)
    assert ours["fog", "held-out"]["vs_msp_lowest"] == pytest.approx(-0.025)


def test_the_better_of_two_classifiers_does_not_hide_the_worse() -> None:
    rotations = {"a": StubRotation("a", skill=3.0), "bb": StubRotation("bb", skill=-0.9)}
    figures, _ = measure(rotations, (0, 1))
    named = {figure.name: figure for figure in figures}
    assert list(named) == list(TARGETS)
    assert named["worst_family_vs_msp"].value < 0
    for name in ("gap_closed_seen", "gap_closed_held_out", "aurc_cut_held_out"):
        assert named[name].low < named[name].value < named[name].high


@pytest.fixture(scope="module")
def results(quick_study: Study, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the quick run writes; a second run looks at no image and fits nothing."""
    folder = tmp_path_factory.mktemp("results")

    def refuse(*_: object) -> None:
        pytest.fail("a second run must not need the evidence")

    bodies = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_out, "open_study", lambda *_, **__: quick_study)
        for _ in range(2):
            failure_detection.main(["--quick", "--out", str(folder)])
            bodies.append(json.loads((folder / "failure_detection.json").read_text("utf-8")))
            patch.setattr(Study, "table", refuse)
    assert bodies[0]["figures"] == bodies[1]["figures"]
    assert bodies[0]["table"] == bodies[1]["table"]
    return bodies[0]


def test_quick_run_measures_every_figure(results: dict, quick_study: Study) -> None:
    figures = {figure["name"]: figure for figure in results["figures"]}
    assert list(figures) == list(TARGETS)
    for figure in figures.values():
        assert all(math.isfinite(figure[key]) for key in ("value", "low", "high"))
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["target"] == TARGETS[figure["name"]].target
    assert results["command"] == "python -m benchmarks.failure_detection --quick --seeds 0"
    assert results["seeds"] == [0]
    assert results["data"]["n"] == len(quick_study.splits.test)


def test_quick_run_agrees_with_its_own_rows(results: dict) -> None:
    figures = {figure["name"]: figure for figure in results["figures"]}
    for pool in ("seen", "held-out"):
        kept = [
            row
            for row in results["table"]
            if row["method"] == OURS and row.get("pool") == pool and "seeds" in row
            and "severity" not in row
        ]  # fmt: skip
        assert len(kept) == 6
        mean = fmean(row["gap_closed"] for row in kept)
        name = f"gap_closed_{pool.replace('-', '_')}"
        assert figures[name]["value"] == pytest.approx(mean, abs=2e-5)
    bounds = [row["vs_msp_lowest_bound"] for row in results["table"] if row.get("family")
              and row["method"] == OURS]  # fmt: skip
    assert figures["worst_family_vs_msp"]["low"] == pytest.approx(min(bounds), abs=1e-5)


def test_quick_run_compares_with_the_library_or_says_why_not(results: dict) -> None:
    rows = [row for row in results["table"] if "judged_by" in row]
    assert rows
    for row in rows:
        if "metric" not in row:
            assert "not installed" in row["judged_by"]
            continue
        # The library's AURC is another quadrature, and cuts ties in the order of the rows.
        assert row["difference"] == pytest.approx(
            0.0, abs=5e-3 if row["metric"] == "aurc" else 1e-6
        )


def test_targets_are_what_the_issue_says() -> None:
    assert [(name, t.target, t.judged) for name, t in TARGETS.items()] == [
        ("gap_closed_seen", 0.55, "low"),
        ("gap_closed_held_out", 0.25, "low"),
        ("worst_family_vs_msp", -0.01, "low"),
        ("clean_vs_msp", -0.005, "low"),
        ("beats_best_single_score_held_out", 0.0, "low"),
        ("aurc_cut_held_out", 0.15, "low"),
    ]
