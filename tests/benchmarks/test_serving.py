"""The benchmark of the service: its arithmetic by hand, and a quick run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("skimage", reason="the photographs are scikit-image's")

from benchmarks import serving
from benchmarks.serving_cells import recovery_s
from benchmarks.serving_gate import POISON, Idle, Plain, PoisonGate, noisy, photos
from benchmarks.serving_load import Record
from benchmarks.serving_running import Scale, quantile, statuses
from benchmarks.serving_servers import post_of
from gatekeeper.testing import FakeClassifier


def row(system: str, net: str, clients: int, per_s: float, p50_ms: float = 1.0) -> dict[str, Any]:
    return {"system": system, "net": net, "clients": clients, "per_s": per_s, "p50_ms": p50_ms}


def test_throughput_is_judged_against_the_better_peer_and_the_worse_network() -> None:
    rows = []
    for turn in range(3):
        rows += [
            row("gate", "resnet50", 1, 9.0 + turn, 105), row("plain", "resnet50", 1, 10.0, 100),
            row("fastapi", "resnet50", 1, 10.0), row("litserve", "resnet50", 1, 8.0),
            row("gate", "small", 1, 100.0), row("fastapi", "small", 1, 50.0),
            row("litserve", "small", 1, 80.0),
        ]  # fmt: skip
    figures = {f.name: f for f in serving.throughput_figures(rows, Scale(clients=(1,)))}
    one = figures["gate_on_vs_best_peer_c1"]
    assert (one.value, one.low, one.high) == (1.0, 0.9, 1.1)
    assert one.note.startswith("resnet50")
    assert figures["gate_off_vs_best_peer_c1"].value == 1.0
    assert figures["gate_latency_share"].value == pytest.approx(5 / 105)
    assert set(figures) == {
        "gate_on_vs_best_peer_c1", "gate_off_vs_best_peer_c1", "gate_latency_share",
    }  # fmt: skip


def test_recovery_by_hand() -> None:
    slow = [Record(10 + k / 10, 1.0, 200, 0) for k in range(12)]
    fast = [Record(11.2 + k / 10, 0.1, 200, 0) for k in range(60)]
    # Windows of half a second from 10: the third (11.0 … 11.5) still holds slow answers.
    assert recovery_s([*slow, *fast], end=10, limit=0.2) == 1.5
    assert recovery_s(fast, end=11.2, limit=0.2) == 0.0
    assert recovery_s(slow, end=10, limit=0.2) == pytest.approx(1.1)


def test_quantiles_and_statuses() -> None:
    assert quantile([], 0.5) == 0.0
    assert quantile([1.0, 3.0], 0.5) == 2.0
    records = [Record(0, 0, 200, 0), Record(0, 0, -1, 0), Record(0, 0, 200, 0)]
    assert statuses(records) == {"-1": 1, "200": 2}


def test_images_are_photographs_and_noise_is_on_them() -> None:
    images = photos(4, 32, seed=0)
    assert images.shape == (4, 3, 32, 32)
    assert torch.equal(images, photos(4, 32, seed=0))
    assert not torch.equal(images, photos(4, 32, seed=1))
    assert float((noisy(images) - images).abs().mean()) > 0.02


def test_doubles() -> None:
    fake = FakeClassifier(lambda mean: [mean, 0.5], class_names=["light", "dark"])
    images = torch.stack([torch.ones(3, 8, 8), torch.zeros(3, 8, 8)])
    assert [each.label for each in Plain(fake, 8).decide(images)] == [0, 1]
    assert [each.label for each in Idle(8).decide(images)] == [1, 1]
    assert [each.label for each in PoisonGate(8).decide(images)] == [1, 0]
    with pytest.raises(ValueError, match="poison"):
        PoisonGate(8).decide(torch.cat([images, torch.full((1, 3, 8, 8), POISON)]))


def test_requests_carry_the_file_in_the_form_that_each_takes() -> None:
    assert post_of("gate", b"hi")["path"] == "/v1/decide"
    assert post_of("gate", b"hi")["body"] == post_of("fastapi", b"hi")["body"] == "aGk="
    assert post_of("litserve", b"hi")["headers"] == {"Content-Type": "application/json"}


def test_cells_are_measured_once(tmp_path: Path) -> None:
    kept = serving.Cells(Scale(), tmp_path)
    assert kept.take("a", lambda: {"x": 1}) == [{"x": 1}]
    assert kept.take("a", lambda: pytest.fail("measured twice")) == [{"x": 1}]
    assert kept.take("b", lambda: [{"x": 2}, {"x": 3}]) == [{"x": 2}, {"x": 3}]
    assert kept.rows == [{"x": 1}, {"x": 1}, {"x": 2}, {"x": 3}]
    other = serving.Cells(Scale(seconds=1.0), tmp_path)
    assert other.take("a", lambda: {"x": 4}) == [{"x": 4}]


def test_a_quick_run(tmp_path: Path) -> None:
    serving.main(["--quick", "--out", str(tmp_path), "--cells", str(tmp_path / "cells")])
    found = json.loads((tmp_path / "serving.json").read_text(encoding="utf-8"))
    figures = {figure["name"]: figure for figure in found["figures"]}
    assert figures["poison_right_answers"]["value"] == 31
    assert set(figures) == {
        "gate_on_vs_best_peer_c1", "gate_on_vs_best_peer_c16", "overload_goodput",
        "overload_accepted_p99_share", "shed_p99_ms", "poison_right_answers",
    }  # fmt: skip
    measured = [each for each in found["table"] if each["cell"] == "throughput"]
    assert [(each["system"], each["clients"]) for each in measured] == [
        ("gate", 1), ("gate", 16), ("fastapi", 1), ("fastapi", 16),
    ]  # fmt: skip
    assert all(set(each["statuses"]) == {"200"} for each in measured)
