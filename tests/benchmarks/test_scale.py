"""The benchmark of Ray, with this machine in Ray's place: tests/scale has the real cluster."""

from __future__ import annotations

import json

import pytest

from benchmarks import scale
from benchmarks.scale import Timed, differences
from gatekeeper.batch import LocalRunner


class InsteadOfRay:
    """Computes here what Ray would compute there."""

    def __init__(self, bundle, facts, limits, options):
        from gatekeeper.engine import stages_of
        from gatekeeper.pipeline import Gatekeeper

        self.run = LocalRunner(stages_of(Gatekeeper.load(bundle)), facts, limits)

    def __call__(self, plan, pending):
        return self.run(plan, pending)


def test_the_quick_benchmark_writes_its_figures(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scale, "RayRunner", InsteadOfRay)
    monkeypatch.setattr(scale.torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(scale, "keep_freed_memory", lambda: True)
    monkeypatch.setenv("GATEKEEPER_BENCHMARK", "")
    scale.main(["--quick", "--out", str(tmp_path)])
    body = json.loads((tmp_path / "scale.json").read_text(encoding="utf-8"))
    figures = {figure["name"]: figure for figure in body["figures"]}
    assert list(figures) == [
        "scale.one_worker_share",
        "scale.two_worker_speedup",
        "scale.differences_after_kill",
    ]
    assert figures["scale.differences_after_kill"]["value"] == 0
    assert "after 0 workers were killed" in figures["scale.differences_after_kill"]["note"]
    assert [row["differing_rows"] for row in body["table"]] == [0, 0, 0, 0]
    assert min(row["images_per_second_in_all"] for row in body["table"]) > 0
    assert "with the start of Ray" in figures["scale.one_worker_share"]["note"]
    assert body["data"]["n"] == 120
    assert "scale.two_worker_speedup" in capsys.readouterr().out


class Table:
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n


class Plan:
    n_chunks = 5


def test_speed_is_counted_once_a_quarter_of_the_chunks_is_finished():
    now = iter([0.0, 8.0, 9.0, 10.0, 11.0, 12.0])
    told = []
    run = Timed(
        lambda plan, pending: [
            (at, Table(n)) for at, n in ((0, 5), (2, 4), (1, 2), (4, 3), (3, 4))
        ],
        Plan(),
        lambda: told.append("first"),
        clock=lambda: next(now),
    )
    # Two of five chunks are over a quarter: 2 + 3 + 4 images from second 9 on; 18 in 12 seconds.
    assert (run.start_s, run.rate, run.rate_in_all) == (8.0, 3.0, 1.5)
    assert told == ["first"]


def row(**changes):
    reliabilities = dict.fromkeys(scale.REAL, 0.5)
    return {"path": "a", "label": 1, **reliabilities, **changes}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 0),
        ({"reliability": 0.500009}, 0),
        ({"reliability": 0.50002}, 1),
        ({"label": 2}, 1),
        ({"reliability_after": None}, 1),
    ],
)
def test_what_counts_as_a_difference(change, expected):
    assert differences([row()], [row(**change)]) == expected


def test_missing_and_additional_rows_differ():
    assert differences([row(), row()], [row()]) == 1
    assert differences([], [row()]) == 1
    none = row(reliability_after=None)
    assert differences([none], [none]) == 0
