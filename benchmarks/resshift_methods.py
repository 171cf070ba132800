"""ResShift and what it is measured beside, all trained alike; checkpoints are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from benchmarks.resshift_peers import EpsilonDiffusion, OnePass, Peer
from benchmarks.trainings import Trainable, follow
from gatekeeper.progress import Progress
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.resshift import (
    Parametrisation,
    ResShiftConfig,
    ResShiftOptions,
    ResShiftTraining,
    SwinUNetConfig,
)
from gatekeeper.types import IntArray

Batches = Callable[[int], TrainingBatch]
"""Number of the step, from 0 -> its batch, the same for every method."""


class Restore(Protocol):
    """As of a restorer."""

    def __call__(self, images: Tensor, *, seeds: IntArray, mask: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) -> the same."""
        ...


InTraining = Trainable[TrainingBatch]
"""What training needs of a method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How every method is trained.

    Attributes:
        network: Size of the network, the same for all.
        options: Schedule, the same for all.
        batch_size: Images per step.
        predicts: What the network of ResShift predicts.
        keep_every: Steps between kept checkpoints.
        seed: Of initial weights and batches.
    """

    network: SwinUNetConfig
    options: ResShiftOptions
    batch_size: int
    predicts: Parametrisation
    keep_every: int
    seed: int

    def facts(self) -> dict[str, Any]:
        """All that determines a training besides data, method and code, JSON-ready."""
        return {key: value for key, value in asdict(self).items() if key != "keep_every"}


LEAST_NOISE = {4: 0.2, 15: 0.04}
"""Of each number of steps, as published."""


def beginning(method: str, plan: Plan) -> InTraining:
    """A method at its first step: ``"resshift-T"``, ``"epsilon-T"`` or ``"one-pass"``."""
    kind, _, steps = method.partition("-")
    if kind == "resshift":
        config = ResShiftConfig(
            steps=int(steps),
            least_noise=LEAST_NOISE[int(steps)],
            predicts=plan.predicts,
            network=plan.network,
            mask=True,
        )
        return ResShiftTraining(
            config, replace(plan.options, hole_share=0.0), seed=plan.seed, device="cpu"
        )
    if kind == "epsilon":
        return EpsilonDiffusion(
            plan.network, plan.options, mask=True, n_steps=int(steps), seed=plan.seed
        )
    return OnePass(plan.network, plan.options, mask=True, seed=plan.seed)


def trained(
    method: str,
    plan: Plan,
    batches: Batches,
    *,
    folder: Path,
    facts: Mapping[str, Any],
    progress: Progress,
) -> Restore:
    """Train a method, or go on where a run before was stopped.

    Args:
        method: As in :func:`beginning`.
        plan: How.
        batches: What it is shown.
        folder: Of the checkpoints; made when the first one is kept.
        facts: All that determines the batches and the code, JSON-ready.
        progress: Told of the steps.
    """
    said = json.dumps({"method": method, **plan.facts(), **facts}, sort_keys=True)
    training = beginning(method, plan)
    follow(
        training,
        batches,
        steps=plan.options.steps,
        path=folder / f"{method}-{hashlib.sha256(said.encode()).hexdigest()[:32]}.safetensors",
        progress=progress,
        stage=f"{method}, seed {plan.seed}",
        kept_every=plan.keep_every,
    )
    return restore_of(training)


def restore_of(training: InTraining) -> Restore:
    """How a trained method restores."""
    if isinstance(training, ResShiftTraining):
        return training.export().restore
    if isinstance(training, Peer):
        return training.restore
    raise TypeError(f"expected a ResShift training or a peer, got {type(training).__name__}")
