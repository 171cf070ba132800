"""Benchmark ``calibration``: how figures are pooled, and the quick run from end to end."""

from __future__ import annotations

import json
import math
from statistics import fmean

import numpy as np
import pytest

from benchmarks import calibration, held_out
from benchmarks.calibration import TARGETS, measure
from benchmarks.calibrations import CALIBRATIONS
from benchmarks.ours import OURS
from benchmarks.reliabilities import Reliabilities
from benchmarks.study import Study
from gatekeeper.errors import InputError
from tests.benchmarks.stub_rotation import StubRotation

SEEDS = (0, 3)


def test_targets_are_what_the_issue_says() -> None:
    assert [(name, t.target, t.direction, t.judged) for name, t in TARGETS.items()] == [
        ("ece_held_out_mean", 0.04, "lower", "high"),
        ("ece_held_out_worst", 0.12, "lower", "high"),
        ("ece_clean_excess", 0.005, "lower", "high"),
        ("accuracy_estimate_error", 0.03, "lower", "high"),
    ]


def test_figures_pool_classifiers_and_seeds() -> None:
    rotations = {"a": StubRotation("a"), "bb": StubRotation("bb")}
    figures, table = measure(rotations, SEEDS)
    named = {figure.name: figure for figure in figures}
    assert list(named) == list(TARGETS)
    found = [Reliabilities(rotation, SEEDS) for rotation in rotations.values()]
    errors = np.array([[one.held_out_errors(seed) for seed in SEEDS] for one in found])
    assert named["ece_held_out_mean"].value == pytest.approx(errors.mean())
    assert named["ece_held_out_worst"].value == pytest.approx(errors.max())
    accuracy = fmean(one.accuracy_error(seed).value for one in found for seed in SEEDS)
    assert named["accuracy_estimate_error"].value == pytest.approx(accuracy)
    for figure in figures:
        assert figure.low <= figure.value <= figure.high
        assert "a: " in figure.note
        assert "bb: " in figure.note
    assert {row["classifier"] for row in table[1:]} == {"a", "bb"}


def test_without_data_or_quick_nothing_runs() -> None:
    with pytest.raises(InputError, match="--quick"):
        calibration.main([])


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
            calibration.main(["--quick", "--out", str(folder)])
            bodies.append(json.loads((folder / "calibration.json").read_text("utf-8")))
            patch.setattr(Study, "table", refuse)
    assert bodies[0]["figures"] == bodies[1]["figures"]
    assert bodies[0]["table"] == bodies[1]["table"]
    return bodies[0]


def test_quick_run_measures_every_figure(results: dict, quick_study: Study) -> None:
    assert [figure["name"] for figure in results["figures"]] == list(TARGETS)
    for figure in results["figures"]:
        assert all(math.isfinite(figure[key]) for key in ("value", "low", "high"))
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert results["data"]["n"] == len(quick_study.splits.test)


def test_quick_run_agrees_with_its_own_rows(results: dict, quick_study: Study) -> None:
    figures = {figure["name"]: figure["value"] for figure in results["figures"]}
    held_out_rows = [
        row
        for row in results["table"]
        if row["method"] == OURS and row["pool"] == "held-out" and "severity" not in row
    ]
    assert len(held_out_rows) == 6
    n_severities = len(quick_study.severities)
    assert all(row["cells"] == 2 * n_severities for row in held_out_rows)
    mean = fmean(row["ece_debiased"] for row in held_out_rows)
    assert figures["ece_held_out_mean"] == pytest.approx(mean, abs=1e-5)
    worst = max(row["ece_debiased_worst"] for row in held_out_rows)
    assert figures["ece_held_out_worst"] == pytest.approx(worst, abs=1e-5)
    error = fmean(row["accuracy_error"] for row in held_out_rows)
    assert figures["accuracy_estimate_error"] == pytest.approx(error, abs=1e-5)


def test_quick_run_compares_every_way_on_the_same_answers(results: dict) -> None:
    clean = [
        row for row in results["table"] if row.get("pool") == "clean" and row["group"] == "blur"
    ]
    assert [row["method"] for row in clean] == list(CALIBRATIONS)
    assert len({row["accuracy"] for row in clean}) == 1
    for row in clean:
        assert 0.0 <= row["ece_debiased"] <= row["ece"] + 1e-5
        assert row["noise_floor"] <= row["noise_floor_p95"]
