"""The benchmark of batches, quickly."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import batch
from gatekeeper.batch import SCHEMA


def test_the_quick_benchmark_writes_its_figures(tmp_path, capsys):
    batch.main(["--quick", "--out", str(tmp_path)])
    body = json.loads((tmp_path / "batch.json").read_text(encoding="utf-8"))
    figures = {figure["name"]: figure for figure in body["figures"]}
    assert list(figures) == [
        "batch.throughput_share",
        "batch.error_rows_missing",
        "batch.memory_growth_mb",
        "batch.resume_differences",
    ]
    # What does not depend on how fast this machine is.
    for name in ("batch.error_rows_missing", "batch.resume_differences"):
        assert figures[name]["value"] == 0
    assert 0 < figures["batch.throughput_share"]["value"] < 2
    assert [row["n"] for row in body["table"]] == [200] * 3
    for row in body["table"]:
        assert 0 < row["engine_cpu_s"] < row["batch_cpu_s"] * 2
    assert body["data"]["n"] == 200
    assert body["command"] == "python -m benchmarks.batch --quick"
    assert "batch.throughput_share" in capsys.readouterr().out


def test_every_hundredth_file_is_broken(tmp_path):
    broken = batch.write_images(tmp_path, 200)
    assert broken == {"000099.png", "000199.png"}
    assert len(list(tmp_path.iterdir())) == 200


def test_a_clock_adds_up_what_is_done_while_it_is_open(monkeypatch):
    wall, cpu = iter([1.0, 3.0, 10.0, 11.0]), iter([5.0, 6.5, 20.0, 24.0])
    monkeypatch.setattr(batch.time, "perf_counter", lambda: next(wall))
    monkeypatch.setattr(batch.time, "process_time", lambda: next(cpu))
    clock = batch.Clock()
    for _ in range(2):
        with clock:
            pass
    assert (clock.wall_s, clock.cpu_s) == (3.0, 5.5)


@pytest.mark.parametrize(
    ("seen", "settled", "expected"),
    [([10, 50, 60, 55], 2, 10), ([10, 50, 40], 2, 0), ([5, 4], 2, 0)],
)
def test_growth_is_counted_once_it_has_settled(seen, settled, expected):
    assert batch.growth_mb(seen, settled) == expected


def rows(path, *actions):
    versions = {"gatekeeper": "1", "bundle": "b", "classifier": "c"}
    body = [
        {"position": i, "path": "p", "action": a, "decide_ms": 1.0 * i, **versions}
        for i, a in enumerate(actions)
    ]
    pq.write_table(pa.Table.from_pylist(body, schema=SCHEMA), path)
    return path


def test_differing_rows(tmp_path):
    one = rows(tmp_path / "one", "accept", "abstain", "accept")
    assert batch.differing(one, rows(tmp_path / "same", "accept", "abstain", "accept")) == 0
    assert batch.differing(one, rows(tmp_path / "other", "accept", "accept", "accept")) == 1
    assert batch.differing(one, rows(tmp_path / "short", "accept", "abstain")) == 1
