"""The benchmark of noise adaptation: its figures by hand, and a quick run from end to end."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("pywt", reason="the photographs come with the benchmark of the signals")

from benchmarks import noise_adaptation as module
from benchmarks.noise_adaptation import Outcome, Part
from benchmarks.noise_adaptation_data import Domain
from benchmarks.noise_adaptation_runs import QUICK
from benchmarks.study import Study
from benchmarks.trainings import share_of
from gatekeeper.errors import InputError
from gatekeeper.progress import Silent
from gatekeeper.restorers import Identity
from tests.small_gate import classifier


def domain(noise: float = 0.1, *, labels: bool = False) -> Domain:
    truth = [torch.full((3, 4, 4 + n % 2 * (not labels)), 0.5) for n in range(4)]
    return Domain(
        name="camera",
        clean=[],
        unlabelled=[],
        noisy=[image + noise for image in truth],
        truth=truth,
        sets=np.array(["a", "a", "b", "b"]),
        groups=np.array(["x", "x", "y", "z"]),
        labels=np.array([0, 1, 2, 3]) if labels else None,
        facts={"name": "flat", "digest": "0"},
    )


def outcomes(gains: dict[tuple[str, int], float], *, right: bool = False) -> dict:
    spread = np.array([-0.01, 0.01, 0.01, -0.01])
    return {
        key: Outcome(psnr_db=20 + gain + spread * (key[0] == "+ negatives"),
                     right=np.array([1.0, 1.0, 0.0, gain]) if right else None)
        for key, gain in gains.items()
    }  # fmt: skip


GAINS = {
    ("input", 0): 0.0, ("vanilla", 0): -1.0, ("vanilla", 1): -2.0,
    ("+ negatives", 0): 1.0, ("+ negatives", 1): 0.5,
}  # fmt: skip


def test_decibels_by_hand() -> None:
    found = module.outcome(Identity(), domain(0.1), None)
    assert found.psnr_db.tolist() == pytest.approx([20.0] * 4, abs=1e-4)
    assert found.right is None


def test_the_classifier_looks_at_what_was_restored() -> None:
    gate = classifier()
    judged = domain(0.0, labels=True)
    answer = int(gate.look(judged.truth[0][None]).logits.argmax())
    found = module.outcome(Identity(), judged, gate)
    assert found.right.tolist() == [float(label == answer) for label in range(4)]


def test_whole_groups_are_redrawn() -> None:
    value, low, high = module.mean_interval(np.array([0.0, 0.0, 1.0, 1.0]), np.array(list("aabb")))
    assert (value, low, high) == (0.5, 0.0, 1.0)  # with two groups a quarter of redraws is all 0
    value, low, high = module.mean_interval(np.arange(400) % 2.0, np.arange(400).astype(str))
    assert value == 0.5
    assert (high - low) / 2 == pytest.approx(1.96 * 0.5 / 20, rel=0.15)


def test_the_worst_seed_is_judged_by_its_lower_end() -> None:
    part = Part(domain(), None, outcomes(GAINS))
    over_vanilla, over_input = module.figures_of(part, [0, 1])
    assert over_vanilla.name == "adapted_minus_vanilla_db"
    assert over_vanilla.value == pytest.approx(2.0)  # seed 0; seed 1 has 2.5
    assert over_input.value == pytest.approx(0.5)  # seed 1
    assert "worst seed 1 of 0: +1.0000, 1: +0.5000" in over_input.note
    assert over_input.low < 0.5 < over_input.high
    assert over_input.judged == "low"
    assert over_input.holds
    worse = Part(domain(), None, outcomes(GAINS | {("+ negatives", 1): -0.5}))
    assert not module.figures_of(worse, [0, 1])[1].holds


def test_the_gain_in_accuracy_is_over_the_noisy_images() -> None:
    gains = {key: float(key[0] == "+ negatives") for key in GAINS}
    part = Part(domain(labels=True), classifier(), outcomes(gains, right=True))
    (figure,) = module.figures_of(part, [0, 1])
    assert figure.name == "accuracy_gain_synthetic_camera"
    assert figure.value == 0.25
    assert "over vanilla +0.2500" in figure.note
    with pytest.raises(InputError, match="outcomes of a classifier"):
        module.figures_of(Part(domain(), classifier(), outcomes(gains)), [0, 1])


def test_a_row_per_restorer_and_set() -> None:
    rows = module.rows_of(Part(domain(), None, outcomes(GAINS)))
    assert len(rows) == 5 * 3
    row = next(r for r in rows if r["method"] == "vanilla" and r["seed"] == 1 and r["set"] == "b")
    assert row["n"] == 2
    assert row["psnr_db"] == pytest.approx(18.0)
    assert row["minus_input_db"] == pytest.approx(-2.0)
    assert row["accuracy"] is None


@pytest.mark.parametrize("given", [{}, {"camera": "x"}, {"clean": "x"}])
def test_something_must_be_asked_for(given: dict[str, str]) -> None:
    arguments = {"camera": None, "clean": None, "data": None, "quick": False} | given
    with pytest.raises(InputError, match="expected --camera with --clean"):
        module.parts_of(argparse.Namespace(**arguments))


def test_two_workers_have_as_much_to_do() -> None:
    parts = [Part(domain(), None, {}), Part(domain(labels=True), None, {})]
    jobs = module.Work(parts, [0, 1, 2], QUICK, Silent()).jobs()
    assert len({(id(part), arm, seed) for _, (part, arm, seed) in jobs}) == 24
    lasts = {arm: weight for weight, (_, arm, _) in jobs}
    loads = [sum(lasts[arm] for _, arm, _ in share_of(jobs, shard)) for shard in ("0/2", "1/2")]
    assert abs(loads[0] - loads[1]) < 0.1 * sum(loads)


def test_a_quick_run_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_study: Study
) -> None:
    monkeypatch.setattr(module, "open_study", lambda spec, *, quick: quick_study)
    monkeypatch.setattr(module, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cache" / "benchmarks" / "noise-adaptation"
    module.main(["--quick", "--only", "train", "--shard", "0/2"])
    assert len(list(folder.iterdir())) == 4
    assert not (tmp_path / "runs").exists()
    module.main(["--quick"])
    path = tmp_path / "runs" / "benchmarks" / "noise_adaptation.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    assert [figure["name"] for figure in body["figures"]] == [
        "adapted_minus_vanilla_db", "adapted_minus_input_db", "accuracy_gain_synthetic_camera",
    ]  # fmt: skip
    assert body["command"] == "python -m benchmarks.noise_adaptation --quick --seeds 0"
    assert {row["method"] for row in body["table"]} == {"input", *module.ARMS}
    assert {row["domain"] for row in body["table"]} == {"camera", "synthetic camera"}
    assert {"name", "split", "n", "digest"} <= body["data"].keys()
    kept = sorted(path.name for path in folder.iterdir())
    assert sum(name.startswith("outcome-") for name in kept) == 2 * (1 + 4)
    assert len(kept) == 8 + 10
    monkeypatch.setattr(module, "outcome", None)  # what is kept is not judged again
    module.main(["--quick"])
    assert json.loads(path.read_text(encoding="utf-8"))["figures"] == body["figures"]
    with pytest.raises(SystemExit):
        module.main(["--quick", "--shard", "0/2"])
