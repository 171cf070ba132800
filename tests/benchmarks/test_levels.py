"""The benchmark of distortion levels, at its smallest."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import levels
from benchmarks.levels_grids import Problem
from benchmarks.levels_runs import METHODS, Scores
from gatekeeper.levels import SAMPLERS, grid_points, sobol_points


def a_problem(pair: str = "a/b", *, development: bool = False) -> Problem:
    return Problem(
        pair=pair,
        development=development,
        threshold=0.9,
        n_images=10,
        pool=sobol_points(3, 4, seed=0),
        pool_counts=np.array([9, 8, 10, 0]),
        grid=grid_points([2, 2, 2]),
        grid_counts=np.array([9, 0, 0, 0, 0, 0, 0, 8]),
    )


def judged(best: levels.Cell, pair: str = "a/b") -> levels.Judged:
    """F1 of 0.5 everywhere, 0.8 in the best cell; SMOTE on random levels refuses one of two."""
    cells: dict[levels.Cell, list[Scores | None]] = {
        (sampler, method): [Scores(f1=0.5, balanced_accuracy=0.7, brier=0.1)] * 2
        for sampler in SAMPLERS
        for method in METHODS
    }
    cells[best] = [Scores(f1=0.8, balanced_accuracy=0.9, brier=0.05)] * 2
    cells[levels.BASELINE] = [Scores(f1=0.6, balanced_accuracy=0.7, brier=0.1), None]
    return levels.Judged(
        problem=a_problem(pair), cells=cells, tried_share=dict.fromkeys(SAMPLERS, 0.1)
    )


def test_the_best_cell_of_the_development_problems_is_named():
    best = ("straddle", "gp_level_set")
    assert levels.named_cell([judged(best), judged(best)]) == best


def test_where_smote_refuses_the_plain_levels_stand_in():
    each = judged(("straddle", "gp_level_set"))
    assert each.f1(levels.BASELINE).tolist() == [0.6, 0.5]
    (row,) = [
        row for row in levels.table([each]) if (row["sampler"], row["method"]) == levels.BASELINE
    ]
    assert row["f1"] == 0.6
    assert row["f1_undefined_seeds"] == 1
    assert row["role"] == "judged"
    assert len(levels.table([each])) == len(SAMPLERS) * len(METHODS)


def test_a_cell_without_any_f1_is_still_a_row():
    each = judged(("straddle", "gp_level_set"))
    each.cells[levels.BASELINE][:] = [None, None]
    (row,) = [r for r in levels.table([each]) if (r["sampler"], r["method"]) == levels.BASELINE]
    assert row["f1"] is None
    assert row["f1_undefined_seeds"] == 2


@pytest.mark.parametrize(
    ("curve", "expected"),
    [([0.2, 0.6, 0.7], 16), ([0.9, 0.4, 0.7], 20), ([0.6, 0.6, 0.6], 12), ([0.9, 0.9, 0.1], 40)],
)
def test_a_budget_counts_from_where_the_curve_stays_above(curve, expected):
    assert levels.reached(np.array(curve), 0.5, [12, 16, 20]) == expected


def test_the_interval_redraws_pairs():
    low, high = levels._interval(["a", "a", "b"], [np.full(8, 0.1), np.full(8, 0.3), np.zeros(8)])
    # Both pairs the same (0 or 0.2) in a quarter of the redraws each.
    assert (low, high) == (pytest.approx(0.0), pytest.approx(0.2))


def test_a_quick_run_writes_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(levels, "QUICK_SEEDS", (0,))
    levels.main(["--quick"])
    body = json.loads((tmp_path / "runs/benchmarks/levels.json").read_text(encoding="utf-8"))
    assert [figure["name"] for figure in body["figures"]] == [
        "f1_gain_over_random_smote", "budget_share_for_equal_f1",
    ]  # fmt: skip
    assert body["command"] == "python -m benchmarks.levels --quick"
    assert body["data"]["pairs"].keys() == {"digits8/conv", "digits8/mlp"}
    rows = [row for row in body["table"] if "method" in row]
    assert {(row["sampler"], row["method"]) for row in rows} == {
        (sampler, method) for sampler in SAMPLERS for method in METHODS
    }
    assert {row["role"] for row in rows} == {"development", "judged"}
    assert all(0.02 <= row["minority_share"] <= 0.2 for row in rows)
    assert "judged: mean F1" in capsys.readouterr().out
