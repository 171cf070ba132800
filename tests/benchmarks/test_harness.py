"""A figure's verdict, and the file that is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.harness import Figure, machine, write_results
from gatekeeper.errors import InputError


def figure(**changes: object) -> Figure:
    return Figure(
        **{
            "name": "x",
            "value": 0.95,
            "low": 0.93,
            "high": 0.97,
            "target": 0.94,
            "direction": "higher",
            "judged": "low",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, False),
        ({"judged": "value"}, True),
        ({"low": 0.94}, True),
        ({"direction": "lower", "judged": "high"}, False),
        ({"direction": "lower", "judged": "low"}, True),
        ({"direction": "lower", "judged": "value", "value": 0.94}, True),
    ],
)
def test_the_judged_number_meets_the_target(changes: dict[str, object], holds: bool) -> None:
    assert figure(**changes).holds is holds
    assert figure(**changes).to_json()["holds"] is holds


@pytest.mark.parametrize("low", [None, float("nan"), float("inf")])
def test_a_missing_or_endless_number_is_not_judged(low: float | None) -> None:
    with pytest.raises(InputError, match="finite low"):
        _ = figure(low=low).holds


def test_results_are_written_with_all_that_they_depend_on(tmp_path: Path) -> None:
    path = write_results(
        "demo",
        command="python -m benchmarks.demo",
        seeds=[0, 1],
        data={"name": "digits", "n": 3},
        seconds=1.26,
        figures=[figure(note="why")],
        table=[{"method": "msp", "failure_auroc": 0.5}],
        folder=tmp_path / "new",
    )
    body = json.loads(path.read_text(encoding="utf-8"))
    assert path == tmp_path / "new" / "demo.json"
    assert body["seconds"] == 1.3
    assert body["seeds"] == [0, 1]
    assert body["machine"] == machine()
    assert {"python", "torch", "vision-gatekeeper"} <= body["versions"].keys()
    assert body["figures"][0] == {**figure(note="why").to_json(), "holds": False}
    assert body["table"] == [{"method": "msp", "failure_auroc": 0.5}]


def test_numbers_that_are_none_of_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        write_results(
            "demo",
            command="",
            seeds=[],
            data={},
            seconds=0,
            figures=[],
            table=[{"x": float("nan")}],
            folder=tmp_path,
        )
