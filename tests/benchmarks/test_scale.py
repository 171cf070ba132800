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
    assert body["data"]["n"] == 120
    assert "scale.two_worker_speedup" in capsys.readouterr().out


class Table:
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n


class Plan:
    n_chunks = 3


def test_speed_is_counted_from_the_first_chunk_on():
    now = iter([0.0, 9.0, 10.0, 11.0])
    told = []
    run = Timed(
        lambda plan, pending: [(0, Table(5)), (2, Table(4)), (1, Table(2))],
        Plan(),
        lambda: told.append("first"),
        clock=lambda: next(now),
    )
    assert (run.start_s, run.seconds, run.images, run.rate) == (9.0, 2.0, 6, 3.0)
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
