"""Trainings of the benchmark: what a step is shown, keeping, going on, and the switches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import noise_adaptation_runs as module
from benchmarks.noise_adaptation_runs import ARMS, QUICK, Images, Size
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.noise_adaptation import NoiseAdaptationTraining


def pictures() -> Images:
    draw = torch.Generator().manual_seed(0)
    clean = [torch.rand(3, 12, 16, generator=draw) / 2 for _ in range(3)]
    unlabelled = [0.5 + torch.rand(3, 10, 9, generator=draw) / 2 for _ in range(2)]
    return Images(clean, unlabelled, "0")


def test_each_arm_adds_one_mechanism() -> None:
    found = {arm: Size().options(arm) for arm in ARMS}
    assert list(found) == ["vanilla", "full range", "+ swap", "+ negatives"]
    assert [o.diffusion for o in found.values()] == [False, True, True, True]
    assert [o.slot_swap for o in list(found.values())[1:]] == [False, True, True]
    assert [o.negatives for o in list(found.values())[1:]] == [False, False, True]
    assert {o.levels for o in found.values()} == {(1, 999)}
    assert {(o.steps, o.ramp_steps) for o in found.values()} == {(1500, 450)}


def test_a_crop_is_a_turned_part_of_an_image() -> None:
    image = torch.arange(3 * 12 * 16).reshape(3, 12, 16) / 576
    cut = module.crops([image], np.arange(40), 8)
    assert cut.shape == (40, 3, 8, 8)
    corners = set()
    for crop in cut:
        values = (crop[0] * 576).round().long()
        down, right = divmod(int(values.min()), 16)
        expected = (image[0] * 576).round().long()[down : down + 8, right : right + 8]
        assert torch.equal(values.flatten().sort().values, expected.flatten())
        corners.add((down, right))
    assert len(corners) > 15
    turned = {tuple((crop[0, 0, 1:] - crop[0, 0, :-1] > 0).tolist()) for crop in cut}
    assert len(turned) > 1
    assert torch.equal(module.crops([image], np.array([7]), 8)[0], cut[7])


def test_a_step_shows_both_kinds_and_is_the_same_every_time() -> None:
    images = pictures()
    shown = module.batch_of(images, QUICK, seed=1, step=5)
    assert shown.clean.shape == shown.degraded.shape == shown.unlabelled.shape == (4, 3, 8, 8)
    assert shown.clean.max() <= 0.5 <= shown.unlabelled.min()
    noise = (shown.degraded - shown.clean).flatten(1).std(dim=1)
    assert 0 < noise.max() < 1.3 * 25 / 255
    again = module.batch_of(images, QUICK, seed=1, step=5)
    other = module.batch_of(images, QUICK, seed=1, step=6)
    for name in ("clean", "degraded", "unlabelled"):
        assert torch.equal(getattr(again, name), getattr(shown, name))
        assert not torch.equal(getattr(other, name), getattr(shown, name))


def test_a_finished_training_is_read_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, size = pictures(), replace(QUICK, steps=3, kept_every=2)
    first = module.trained(images, "+ negatives", 0, size, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]  # no state is left

    def never(*_arguments: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "batch_of", never)
    again = module.trained(images, "+ negatives", 0, size, tmp_path)
    assert again.digest == first.digest
    for other in (
        (replace(images, digest="1"), "+ negatives", 0, size),
        (images, "vanilla", 0, size),
        (images, "+ negatives", 1, size),
        (images, "+ negatives", 0, replace(size, steps=4)),
    ):
        with pytest.raises(AssertionError, match="trained again"):
            module.trained(*other, tmp_path)


def test_a_training_that_was_cut_short_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, size = pictures(), replace(QUICK, steps=6, kept_every=2)
    whole = module.trained(images, "+ swap", 0, size, tmp_path / "whole")
    step, taken = NoiseAdaptationTraining.step, []

    def failing(training: NoiseAdaptationTraining, batch: TrainingBatch) -> float:
        taken.append(training.steps_done)
        if len(taken) == 6:
            raise KeyboardInterrupt
        return step(training, batch)

    monkeypatch.setattr(NoiseAdaptationTraining, "step", failing)
    with pytest.raises(KeyboardInterrupt):
        module.trained(images, "+ swap", 0, size, tmp_path / "cut")
    resumed = module.trained(images, "+ swap", 0, size, tmp_path / "cut")
    assert taken == [0, 1, 2, 3, 4, 5, 4, 5]
    assert resumed.digest == whole.digest
