"""Trainings of benchmarks, kept on the way: one that was cut short goes on to the same bits.

What a step is shown follows from the step's number alone, and the state is plain tensors; a run
that is killed loses at most the steps since the last kept state.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.kept import ROOT, Store
from gatekeeper.classifiers import load_safetensors, save_safetensors
from gatekeeper.errors import InputError
from gatekeeper.progress import Progress
from gatekeeper.restorers.shared import Optimiser
from gatekeeper.types import FloatArray, IntArray

KEPT_EVERY = 100
"""Steps between two kept states, unless a benchmark says otherwise."""

B_contra = TypeVar("B_contra", contravariant=True)
J = TypeVar("J")

Logits = Callable[[Tensor], Tensor]
"""(images) -> logits, differentiable in the weights."""


class Trainable(Protocol[B_contra]):
    """Anything in training, as far as going on needs to know it."""

    @property
    def steps_done(self) -> int:
        """Optimiser steps so far."""
        ...

    def step(self, batch: B_contra) -> float:
        """One optimiser step; returns its loss."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All of it as tensors."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from there."""
        ...


def follow(
    training: Trainable[B_contra],
    batch_of: Callable[[int], B_contra],
    *,
    steps: int,
    path: Path,
    progress: Progress,
    stage: str,
    kept_every: int = KEPT_EVERY,
) -> None:
    """Train to the last step, from the kept state where there is one.

    Args:
        training: At its first step; goes on from what ``path`` holds.
        batch_of: Number of a step, from 0 -> what it is shown.
        steps: In all.
        path: A ``.safetensors`` file that belongs to this training alone.
        progress: Told of the steps that are left.
        stage: What it is called.
        kept_every: Steps between two kept states; the last one is kept, too.
    """
    if path.is_file():
        training.load_state(load_safetensors(path))
    progress.start(stage, steps - training.steps_done)
    while training.steps_done < steps:
        training.step(batch_of(training.steps_done))
        progress.advance(1)
        if training.steps_done % kept_every == 0 or training.steps_done == steps:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_safetensors(training.state(), path)


class Trainings:
    """Weights that are trained once and kept, with the states on the way.

    Args:
        store: Where finished weights and the states on the way lie.
        progress: Told of the steps.
        kept_every: Steps between two kept states.
    """

    def __init__(self, store: Store, progress: Progress, *, kept_every: int = KEPT_EVERY) -> None:
        self._store, self._progress, self._kept_every = store, progress, kept_every

    def weights(
        self,
        name: str,
        facts: Mapping[str, Any],
        begin: Callable[[], tuple[Trainable[B_contra], Callable[[], Mapping[str, Tensor]]]],
        batch_of: Callable[[int], B_contra],
        *,
        steps: int,
        stage: str,
    ) -> dict[str, Tensor]:
        """Weights from the disk, or trained and kept.

        Args:
            name: Beginning of the file's name, for people.
            facts: All that determines the weights, JSON-ready.
            begin: Makes the training at its first step, and what gives its weights at the end.
            batch_of: Number of a step, from 0 -> what it is shown.
            steps: In all.
            stage: What it is called while it runs.
        """
        said = json.dumps(dict(facts), sort_keys=True)
        digest = hashlib.sha256(said.encode()).hexdigest()[:32]
        state = self._store.folder / f"unfinished-{name}-{digest}.safetensors"

        def make() -> Mapping[str, FloatArray]:
            training, weights = begin()
            follow(
                training,
                batch_of,
                steps=steps,
                path=state,
                progress=self._progress,
                stage=stage,
                kept_every=self._kept_every,
            )
            return {key: tensor.detach().cpu().numpy() for key, tensor in weights().items()}

        kept = self._store.arrays(name, facts, make)
        # Only now: what was killed while the weights were written must find its last state.
        state.unlink(missing_ok=True)
        return {key: torch.from_numpy(array) for key, array in kept.items()}


@dataclass(frozen=True, slots=True)
class Shown:
    """Images (B, 3, H, W) and their classes (B,)."""

    images: Tensor
    labels: IntArray


class Tuning:
    """A classifier in training: cross-entropy, Adam, one cycle of the learning rate.

    Args:
        network: Trained in place, every parameter of it.
        logits: Images -> its logits, with whatever normalisation it wants.
        steps: Planned steps.
        learning_rate: Peak.
        device: Where the network is.
    """

    def __init__(
        self,
        network: nn.Module,
        logits: Logits,
        *,
        steps: int,
        learning_rate: float,
        device: torch.device,
    ) -> None:
        self._network, self._logits, self._device = network, logits, device
        # No average: what is judged are the last weights.
        self._optimiser = Optimiser(
            network, steps=steps, learning_rate=learning_rate, ema_decay=0.0
        )

    @property
    def steps_done(self) -> int:
        """Optimiser steps taken so far."""
        return self._optimiser.steps_done

    def step(self, batch: Shown) -> float:
        """One optimiser step; returns its loss."""
        self._network.train()
        self._optimiser.clear()
        truth = torch.from_numpy(batch.labels).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            loss = F.cross_entropy(self._logits(batch.images.to(self._device)), truth)
        value = self._optimiser.add_gradients(loss)
        self._optimiser.apply(value)
        return value

    def state(self) -> dict[str, Tensor]:
        """Network, moments and steps done."""
        return self._optimiser.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a kept state."""
        self._optimiser.load_state(state)


def epoch_rows(step: int, *, n: int, batch_size: int, seed: int) -> tuple[int, IntArray]:
    """Pass and positions of a step, every pass newly shuffled and cut into even parts.

    Args:
        step: From 0.
        n: Images.
        batch_size: About so many are shown per step; the parts differ by at most one.
        seed: Of the order.
    """
    epoch, part = divmod(step, steps_per_epoch(n, batch_size))
    order = np.random.default_rng([seed, epoch]).permutation(n)
    return epoch, np.array_split(order, steps_per_epoch(n, batch_size))[part]


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Steps of one pass over n images, at least 1."""
    return max(1, n // batch_size)


def share_of(jobs: Sequence[tuple[float, J]], shard: str) -> list[J]:
    """The i-th of n shares of weighted jobs, the largest job first to whoever has least.

    Args:
        jobs: (about how long it takes, the job), in any unit.
        shard: ``"i/n"``, i from 0.

    Raises:
        InputError: it is no share of that form.
    """
    index, _, total = shard.partition("/")
    if not (index.isdecimal() and total.isdecimal() and int(index) < int(total)):
        raise InputError(f"expected a share such as 0/2, got {shard!r}: the i-th of n, from 0")
    shares: list[list[J]] = [[] for _ in range(int(total))]
    loads = [0.0] * len(shares)
    for weight, job in sorted(jobs, key=lambda pair: -pair[0]):
        place = loads.index(min(loads))
        shares[place].append(job)
        loads[place] += weight
    return shares[int(index)]


def in_workers(module: str, argv: Sequence[str], stages: Sequence[str], n: int) -> None:
    """Run stages of a benchmark one after the other, each in n processes that share its jobs.

    Args:
        module: Such as ``"benchmarks.restoration"``; takes ``--only STAGE --shard i/n``.
        argv: Its options.
        stages: Each must be finished before the next one starts.
        n: Processes.

    Raises:
        SystemExit: one of them failed; the others were waited for.
    """
    for stage in stages:
        started = [
            subprocess.Popen(  # noqa: S603  # our own module
                [sys.executable, "-m", module, *argv, "--only", stage, "--shard", f"{i}/{n}"],
                cwd=ROOT,
            )
            for i in range(n)
        ]
        codes = [worker.wait() for worker in started]
        if any(codes):
            raise SystemExit(max(map(abs, codes)))
