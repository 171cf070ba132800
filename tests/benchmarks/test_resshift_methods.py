"""Training of all methods alike: which method is what, checkpoints, going on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.resshift_methods import Plan, beginning, restore_of, trained
from benchmarks.resshift_peers import EpsilonDiffusion, OnePass
from gatekeeper.progress import Silent
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.resshift import ResShiftOptions, ResShiftTraining, SwinUNetConfig

PLAN = Plan(
    network=SwinUNetConfig(width=4, groups=2, swin_width=4, head_width=2, window=2),
    options=ResShiftOptions(steps=5, learning_rate=1e-2),
    batch_size=2,
    predicts="residual",
    keep_every=2,
    seed=3,
)
METHODS = ("resshift-4", "resshift-15", "one-pass", "epsilon-4", "epsilon-15")


def batches(step: int) -> TrainingBatch:
    clean = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(step))
    return TrainingBatch(
        clean=clean,
        degraded=clean.flip(3),
        labels=None,
        seeds=np.arange(2) + step,
        mask=torch.ones(2, 1, 8, 8),
    )


def test_methods_are_what_they_are_called() -> None:
    made = {method: beginning(method, PLAN) for method in METHODS}
    for steps in (4, 15):
        ours = made[f"resshift-{steps}"]
        assert isinstance(ours, ResShiftTraining)
        assert ours.config.training_chain().schedule.steps == steps
        assert 2.0 * ours.config.training_chain().schedule.roots[0] == pytest.approx(
            {4: 0.2, 15: 0.04}[steps]
        )
        assert ours.config.predicts == "residual"
        theirs = made[f"epsilon-{steps}"]
        assert isinstance(theirs, EpsilonDiffusion)
        assert len(theirs.kept) == steps + 1
    assert isinstance(made["one-pass"], OnePass)
    sizes = {
        sum(
            t.numel() for name, t in one.state().items() if "network." in name and "exp" not in name
        )
        for one in made.values()
    }
    assert len(sizes) == 1  # the same network for all


@pytest.mark.parametrize("method", ["resshift-4", "one-pass"])
def test_a_stopped_training_goes_on_from_its_checkpoint(method: str, tmp_path: Path) -> None:
    images, seeds = batches(9).clean, np.arange(2)
    seen: list[int] = []

    def stopping(step: int) -> TrainingBatch:
        if step == 3:
            raise KeyboardInterrupt
        return batches(step)

    def watched(step: int) -> TrainingBatch:
        seen.append(step)
        return batches(step)

    expected = trained(method, PLAN, batches, folder=tmp_path / "a", facts={}, progress=Silent())
    with pytest.raises(KeyboardInterrupt):
        trained(method, PLAN, stopping, folder=tmp_path / "b", facts={}, progress=Silent())
    found = trained(method, PLAN, watched, folder=tmp_path / "b", facts={}, progress=Silent())
    assert seen == [2, 3, 4]
    assert torch.equal(found(images, seeds=seeds), expected(images, seeds=seeds))
    again = trained(method, PLAN, stopping, folder=tmp_path / "a", facts={}, progress=Silent())
    assert torch.equal(again(images, seeds=seeds), expected(images, seeds=seeds))


def test_other_facts_are_another_training(tmp_path: Path) -> None:
    seen: list[int] = []

    def watched(step: int) -> TrainingBatch:
        seen.append(step)
        return batches(step)

    for facts in ({"code": "a"}, {"code": "b"}, {"code": "b"}):
        trained("one-pass", PLAN, watched, folder=tmp_path, facts=facts, progress=Silent())
    assert len(list(tmp_path.iterdir())) == 2
    assert seen == [*range(5), *range(5)]


def test_only_known_kinds_restore() -> None:
    with pytest.raises(TypeError, match="ResShift training or a peer"):
        restore_of(object())  # type: ignore[arg-type]
