"""The benchmark of evaluation, quickly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import evaluation, evaluation_victim


def test_the_quick_benchmark_writes_its_figures(tmp_path: Path, capsys) -> None:
    evaluation.main(["--quick", "--out", str(tmp_path)])
    body = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    figures = {figure["name"]: figure for figure in body["figures"]}
    assert list(figures) == [
        "overhead", "peak_memory_gb", "cells_lost_on_kill", "report_bytes", "metric_agreement",
    ]  # fmt: skip
    # What does not depend on how fast this machine is.
    for name in ("cells_lost_on_kill", "report_bytes", "metric_agreement"):
        assert figures[name]["holds"], figures[name]
    assert body["command"] == "python -m benchmarks.evaluation --quick"
    assert body["data"]["n"] == 60
    kill = next(row for row in body["table"] if row.get("side") == "kill")
    assert kill["cells"] == len(evaluation_victim.GRID) == 7
    assert (kill["kept"], kill["begun_before_the_kill"]) == (3, 4)
    assert kill["kept"] + kill["made_after_it"] == kill["cells"]
    assert kill["answers"] == kill["cells"] * evaluation_victim.N_IMAGES
    looks = [row["looks"] for row in body["table"] if "looks" in row]
    assert looks == [60 * 11, 60 * 11]
    metrics = {row["metric"] for row in body["table"] if "metric" in row}
    assert metrics == {"accuracy", "failure_auroc", "brier", "ece"}
    assert "cells_lost_on_kill" in capsys.readouterr().out


def test_without_data_it_says_what_is_missing(capsys) -> None:
    with pytest.raises(SystemExit):
        evaluation.main([])
    assert "--quick" in capsys.readouterr().err


def test_the_peak_of_a_run_that_was_cut_short_counts(tmp_path: Path) -> None:
    place = tmp_path / "peak.json"
    alone = evaluation.peak_memory_gb(place)
    assert 0.05 < alone < 24
    place.write_text('{"gb": 1000.5}', encoding="utf-8")
    assert evaluation.peak_memory_gb(place) == 1000.5
    assert json.loads(place.read_text(encoding="utf-8")) == {"gb": 1000.5}
