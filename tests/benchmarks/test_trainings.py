"""Trainings that are killed go on to the same weights; jobs are shared fairly."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks import trainings
from benchmarks.kept import Store
from benchmarks.trainings import (
    Shown,
    Trainings,
    Tuning,
    epoch_rows,
    in_workers,
    share_of,
    steps_per_epoch,
)
from gatekeeper.errors import InputError
from gatekeeper.progress import Silent
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.autoencoder import AutoencoderOptions, AutoencoderTraining
from gatekeeper.restorers.unet import UNetConfig, UNetOptions, UNetTraining

STEPS, KEPT_EVERY = 7, 3
CPU = torch.device("cpu")
Begin = Callable[[], tuple[object, Callable[[], Mapping[str, Tensor]]]]


def images(step: int) -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(step))


def pairs(step: int) -> TrainingBatch:
    clean = images(step)
    return TrainingBatch(
        clean=clean, degraded=clean.flip(3), labels=None, seeds=np.arange(4) + step
    )


def shown(step: int) -> Shown:
    return Shown(images(step), np.arange(4) % 2)


def unet() -> tuple[UNetTraining, Callable[[], Mapping[str, Tensor]]]:
    options = UNetOptions(steps=STEPS, loss="mse", bf16=True)
    training = UNetTraining(UNetConfig((4, 8)), options, device="cpu")
    return training, lambda: training.export().state()


def autoencoder() -> tuple[AutoencoderTraining, Callable[[], Mapping[str, Tensor]]]:
    training = AutoencoderTraining(options=AutoencoderOptions(steps=STEPS, recognition_weight=0.0))
    return training, training.network.state_dict


def tuning() -> tuple[Tuning, Callable[[], Mapping[str, Tensor]]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(784, 2)
        )
    made = Tuning(network, network, steps=STEPS, learning_rate=1e-2, device=CPU)
    return made, network.state_dict


KINDS = {"unet": (unet, pairs), "autoencoder": (autoencoder, pairs), "tuning": (tuning, shown)}


class Killed(BaseException):
    """Not an error that anything might catch."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("killed_at", [KEPT_EVERY, STEPS - 1])
def test_a_killed_training_goes_on_to_the_same_weights(
    kind: str, killed_at: int, tmp_path: Path
) -> None:
    begin, batch_of = KINDS[kind]
    seen: list[int] = []

    def run(folder: Path, killed: int | None) -> dict[str, Tensor]:
        def batch(step: int) -> object:
            if step == killed:
                raise Killed
            seen.append(step)
            return batch_of(step)

        made = Trainings(Store(folder), Silent(), kept_every=KEPT_EVERY)
        return made.weights("w", {"a": 1}, begin, batch, steps=STEPS, stage="s")

    whole = run(tmp_path / "whole", None)
    assert seen == list(range(STEPS))
    seen.clear()
    with pytest.raises(Killed):
        run(tmp_path / "cut", killed_at)
    (state,) = (tmp_path / "cut").iterdir()
    assert state.name.startswith("unfinished-w-")
    seen.clear()
    found = run(tmp_path / "cut", None)
    assert seen == list(range(killed_at - killed_at % KEPT_EVERY, STEPS))
    assert found.keys() == whole.keys()
    for name, tensor in whole.items():
        assert torch.equal(found[name], tensor), name
    # The state goes when the weights are there, and nothing is trained again.
    assert [path.name[:2] for path in (tmp_path / "cut").iterdir()] == ["w-"]
    seen.clear()
    again = run(tmp_path / "cut", 0)
    assert seen == []
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())


def test_other_facts_do_not_take_over_a_state(tmp_path: Path) -> None:
    def killed(step: int) -> TrainingBatch:
        if step == 4:
            raise Killed
        return pairs(step)

    made = Trainings(Store(tmp_path), Silent(), kept_every=2)
    with pytest.raises(Killed):
        made.weights("w", {"seed": 0}, unet, killed, steps=STEPS, stage="s")
    seen: list[int] = []

    def watched(step: int) -> TrainingBatch:
        seen.append(step)
        return pairs(step)

    made.weights("w", {"seed": 1}, unet, watched, steps=STEPS, stage="s")
    assert seen == list(range(STEPS))


def test_progress_is_of_the_steps_that_are_left(tmp_path: Path) -> None:
    class Listening(Silent):
        def __init__(self) -> None:
            self.heard: list[tuple[str, int]] = []

        def start(self, stage: str, total: int) -> None:
            self.heard.append((stage, total))

        def advance(self, n: int) -> None:
            self.heard.append(("+", n))

    training, _ = unet()
    for step in range(5):
        training.step(pairs(step))
    path = tmp_path / "s.safetensors"
    trainings.save_safetensors(training.state(), path)
    progress = Listening()
    trainings.follow(unet()[0], pairs, steps=STEPS, path=path, progress=progress, stage="s")
    assert progress.heard == [("s", 2), ("+", 1), ("+", 1)]


def test_tuning_learns_the_labels_and_moves_every_weight() -> None:
    training, weights = tuning()
    before = copy.deepcopy(dict(weights()))
    first, *_, last = [training.step(shown(0)) for _ in range(STEPS)]
    assert last < first
    assert training.steps_done == STEPS
    assert all(not torch.equal(before[name], tensor) for name, tensor in weights().items())


def test_a_pass_shows_every_image_once_in_an_order_of_its_own() -> None:
    assert steps_per_epoch(23, 5) == 4
    assert steps_per_epoch(3, 5) == 1
    passes = []
    for epoch in range(2):
        parts = [epoch_rows(4 * epoch + part, n=23, batch_size=5, seed=3) for part in range(4)]
        assert [number for number, _ in parts] == [epoch] * 4
        assert {len(rows) for _, rows in parts} == {5, 6}
        passes.append(np.concatenate([rows for _, rows in parts]))
        assert sorted(passes[-1]) == list(range(23))
    assert passes[0].tolist() != passes[1].tolist()


def test_the_longest_job_goes_to_whoever_has_least() -> None:
    jobs = [(1.0, "a"), (5.0, "b"), (3.0, "c"), (3.0, "d"), (1.0, "e")]
    # b to the first, c to the second, d to the second (5 against 3), a to the first, e to either.
    assert share_of(jobs, "0/2") == ["b", "a", "e"]
    assert share_of(jobs, "1/2") == ["c", "d"]
    assert share_of(jobs, "0/1") == ["b", "c", "d", "a", "e"]
    assert share_of(jobs[:1], "1/2") == []


@pytest.mark.parametrize("shard", ["2/2", "0", "a/b", "-1/2", "/2"])
def test_a_share_that_is_none_is_refused(shard: str) -> None:
    with pytest.raises(InputError, match="expected a share such as 0/2"):
        share_of([(1.0, "a")], shard)


class Process:
    """Stands for a worker; the second one of the second stage fails."""

    started: list[list[str]] = []  # noqa: RUF012  # emptied by the test

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.command = command
        Process.started.append(command)

    def wait(self) -> int:
        return -9 if self.command[-3:] == ["b", "--shard", "1/2"] else 0


def test_stages_follow_one_another_and_a_failure_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings.subprocess, "Popen", Process)
    Process.started.clear()
    with pytest.raises(SystemExit) as failed:
        in_workers("benchmarks.x", ["--data", "d"], ["a", "b", "c"], 2)
    assert failed.value.code == 9
    said = [command[1:] for command in Process.started]
    assert said == [
        ["-m", "benchmarks.x", "--data", "d", "--only", stage, "--shard", shard]
        for stage in ("a", "b")
        for shard in ("0/2", "1/2")
    ]
