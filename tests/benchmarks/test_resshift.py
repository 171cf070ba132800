"""Benchmark ``resshift``: its figures by hand, resuming, and the quick run from end to end."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import resshift, resshift_cells
from benchmarks.resshift import TARGETS, figures, table
from benchmarks.resshift_cells import (
    JUDGED,
    METHODS,
    Bench,
    open_bench,
    over_seeds,
    work,
)
from benchmarks.resshift_tasks import TASKS
from gatekeeper.errors import InputError


def test_targets_are_what_the_issue_says() -> None:
    assert [(name, t.target, t.direction, t.judged) for name, t in TARGETS.items()] == [
        ("t4_minus_t15_db", -0.5, "higher", "low"),
        ("t4_time_share", 0.3, "lower", "value"),
        ("gain_over_input_db_worst_task", 0.0, "higher", "low"),
    ]


def made_up(gains: dict[str, float]) -> resshift.Cells:
    """Inputs of 20 and 22 dB; T = 4 gains so much at each task, T = 15 0.25 more."""
    before = np.array([20.0, 22.0])
    added = {"resshift-4": 0.0, "resshift-15": 0.25, "one-pass": -1.0}
    cells = {("input", task): before for task in TASKS}
    cells |= {(m, task): before + gains[task] + more for task in TASKS for m, more in added.items()}
    return {
        key: {"psnr_db": values, "ssim": values / 40, "seconds": values / 1e3}
        for key, values in cells.items()
    }


def test_figures_by_hand() -> None:
    cells = made_up({"denoise": 3.0, "deblur": 1.0, "x2": 0.5, "inpaint": 4.0})
    seconds = np.array([[1.0, 4.0], [1.0, 5.0], [1.5, 5.0]])
    less, share, gain = figures(cells, seconds, seed=0)
    assert (less.value, less.low, less.high) == pytest.approx((-0.25,) * 3)
    assert (share.value, share.low, share.high) == pytest.approx((0.2, 0.2, 0.3))
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.5,) * 3)
    assert "worst: x2" in gain.note
    assert [figure.holds for figure in (less, share, gain)] == [True] * 3
    worse = figures(
        made_up({"denoise": 3.0, "deblur": -0.1, "x2": 0.5, "inpaint": 4.0}), seconds, seed=0
    )
    assert not worse[2].holds


def test_intervals_redraw_images() -> None:
    cells = made_up(dict.fromkeys(TASKS, 1.0))
    for task in TASKS:
        cells["resshift-4", task]["psnr_db"] = np.array([20.0, 24.0])
    less, _, gain = figures(cells, np.array([[1.0, 4.0]]), seed=0)
    # Gains of 0 and 2: the mean is 1, and redrawing two images gives 0, 1 or 2.
    assert (gain.value, gain.low, gain.high) == pytest.approx((1.0, 0.0, 2.0))
    assert (less.value, less.low, less.high) == pytest.approx((-0.25, -1.25, 0.75))


def test_the_table_has_means_of_images() -> None:
    rows = table([made_up(dict.fromkeys(TASKS, 1.0))], [7])
    assert rows[0]["method"] == "note"
    assert rows[5] == {
        "method": "resshift-4", "task": "denoise", "seed": 7, "psnr_db": 22.0, "ssim": 0.55,
        "ms": 22.0, "n": 2,
    }  # fmt: skip


def test_seeds_are_averaged_image_by_image_where_all_have_them() -> None:
    first, second = made_up(dict.fromkeys(TASKS, 1.0)), made_up(dict.fromkeys(TASKS, 2.0))
    second = {key: cell for key, cell in second.items() if key[0] != "one-pass"}
    mean = over_seeds([first, second])
    assert {method for method, _ in mean} == {"input", "resshift-4", "resshift-15"}
    assert mean["resshift-4", "x2"]["psnr_db"].tolist() == [21.5, 23.5]
    assert mean["input", "x2"]["psnr_db"].tolist() == [20.0, 22.0]


def test_what_stands_beside_is_trained_under_the_first_seed_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Recording:
        def __init__(self, seed: int) -> None:
            self.seed = seed

        def restorer(self, method: str) -> None:
            done.append((self.seed, method))

        def cell(self, method: str, task: str) -> None:
            done.append((self.seed, method, task))

    seeds = [Recording(0), Recording(1)]
    expected = [(0, method) for method in METHODS] + [(1, method) for method in JUDGED]
    done: list[tuple] = []
    for shard in ("0/2", "1/2"):
        work(seeds, "train", shard)
        assert len(done) in {4, 7}
    assert sorted(done) == sorted(expected)
    done.clear()
    for shard in ("0/2", "1/2"):
        work(seeds, "judge", shard)
    assert sorted(done) == sorted((*job, task) for job in expected for task in TASKS)


def test_without_data_or_quick_nothing_runs() -> None:
    with pytest.raises(InputError, match="--quick"):
        resshift.main([])


def smaller() -> Bench:
    bench = open_bench(None, quick=True, steps=0, n_images=0, seed=0)
    options = replace(bench.plan.options, steps=3)
    return replace(bench, test=bench.test[:2], plan=replace(bench.plan, options=options))


def test_batches_are_the_same_for_every_method_and_differ_by_step() -> None:
    bench = smaller()
    first, again, other = bench.batch(0), bench.batch(0), bench.batch(1)
    assert np.array_equal(first.seeds, again.seeds)
    assert first.degraded.equal(again.degraded)
    assert not first.clean.equal(other.clean)
    assert first.clean.shape == (8, 3, 14, 14)
    assert set(bench.train).isdisjoint(bench.test)


def test_quick_run_measures_everything_and_a_second_one_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = smaller()
    monkeypatch.setattr(resshift, "open_bench", lambda *_, **__: bench)
    monkeypatch.setattr(resshift, "cache_dir", lambda: tmp_path / "cache")
    bodies = []
    for _ in range(2):
        resshift.main(["--quick", "--out", str(tmp_path)])
        bodies.append(json.loads((tmp_path / "resshift.json").read_text("utf-8")))
        monkeypatch.setattr(
            resshift_cells, "trained", lambda *_, **__: pytest.fail("nothing is trained again")
        )
    assert bodies[0]["figures"] == bodies[1]["figures"]
    assert bodies[0]["table"] == bodies[1]["table"]
    body = bodies[0]
    assert [figure["name"] for figure in body["figures"]] == list(TARGETS)
    for figure in body["figures"]:
        assert all(math.isfinite(figure[key]) for key in ("value", "low", "high"))
    rows = {(row["method"], row["task"]): row for row in body["table"][1:]}
    assert set(rows) == {(method, task) for method in ("input", *METHODS) for task in TASKS}
    assert all(row["n"] == 2 for row in rows.values())
    assert all((row["ms"] > 0) == (method != "input") for (method, _), row in rows.items())
    four, fifteen = (
        np.mean([rows[method, task]["psnr_db"] for task in TASKS]) for method in METHODS[:2]
    )
    assert body["figures"][0]["value"] == pytest.approx(four - fifteen, abs=2e-3)
