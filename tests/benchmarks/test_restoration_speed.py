"""Speed of restorers: the arithmetic by hand, and a quick run; no limit on any time."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from benchmarks import restoration_speed
from benchmarks.kept import ROOT
from benchmarks.restoration_speed import Cost, median_seconds, row


def test_the_first_pass_is_not_counted_and_the_median_is_taken() -> None:
    now, takes = [0.0], iter([100.0, 1.0, 9.0, 2.0, 2.0, 2.0, 7.0])

    def run() -> None:
        now[0] += next(takes)

    # 1 + 9 + 2 = 12 s after three passes, which is enough for 12 and not for 13.
    assert median_seconds(run, least=12.0, clock=lambda: now[0]) == 2.0
    now[0], more = 0.0, iter([100.0, 1.0, 9.0, 2.0, 3.0])
    run_on = lambda: now.__setitem__(0, now[0] + next(more))  # noqa: E731
    assert median_seconds(run_on, least=13.0, clock=lambda: now[0]) == 2.5


def test_the_device_has_finished_before_the_clock_stops() -> None:
    ticks, log = count(), []
    median_seconds(
        lambda: log.append("run"),
        least=0.0,
        finish=lambda: log.append("finish"),
        clock=lambda: log.append("clock") or float(next(ticks)),
    )
    assert log == ["clock", "run", "finish", "clock"] * 4


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells")
def test_memory_of_a_pass_is_seen_though_it_is_given_back() -> None:
    # In a process of its own: one that keeps freed memory, as commands do, has it already.
    code = (
        "import numpy as np, torch\n"
        "from benchmarks.restoration_speed import peak_mib\n"
        "run = lambda: np.ones(64 * 2**20, dtype=np.uint8).sum()\n"
        "print(peak_mib(run, torch.device('cpu')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert 0.8 * 64 < float(done.stdout) < 3 * 64


def test_a_line_by_hand() -> None:
    facts = {"device": "cpu", "variant": "eager", "batch": 8, "side_px": 32}
    line = row("unet", Cost(0.2, 1.234), Cost(0.1, None), facts)
    assert line == {
        "method": "unet", **facts, "images_per_s": 40.0, "peak_mib": 1.23,
        "share_of_classifier": 2.0,
    }  # fmt: skip
    assert row("classifier", Cost(0.1, None), Cost(0.1, None), facts)["peak_mib"] is None


def test_a_quick_run_times_every_restorer(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(restoration_speed, "_QUICK_SECONDS", 0.0)
    restoration_speed.main(["--quick", "--device", "cpu", "--side", "16"])
    written = tmp_path / "runs" / "benchmarks" / "restoration_speed.json"
    body = json.loads(written.read_text(encoding="utf-8"))
    assert [(line["method"], line["batch"]) for line in body["table"]] == [
        (name, batch)
        for batch in (1, 4)
        for name in ("classifier", "median", "exposure", "autoencoder", "unet")
    ]
    assert all(line["images_per_s"] > 0 for line in body["table"])
    assert body["table"][0]["share_of_classifier"] == 1.0
    assert body["figures"] == []
