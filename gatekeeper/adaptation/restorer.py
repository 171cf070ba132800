"""A restorer adapted to captured noise: trained once, kept under the hash of what it depends on."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import torch

from gatekeeper.adaptation.kept import is_kept, keep_restorer, kept_restorer
from gatekeeper.adaptation.recipe import METHOD, AdaptedRestorer
from gatekeeper.errors import DataError, TrainingError
from gatekeeper.progress import Progress
from gatekeeper.protocols import RestorerTraining, TrainingBatch, WeightedRestorer
from gatekeeper.restorers.noise_adaptation import synthetic_noise
from gatekeeper.training.checkpoint import Checkpoint
from gatekeeper.training.methods import METHODS, Frozen
from gatekeeper.training.sources import Images, Order

_STATE = "checkpoint.safetensors"
_VERSION = 1


def adapted_restorer(
    clean: Images,
    captured: Images,
    options: AdaptedRestorer,
    *,
    seed: int,
    work: Path,
    progress: Progress,
) -> WeightedRestorer:
    """The restorer, from the disk or trained and kept; a training that was cut short goes on.

    Args:
        clean: Clean images, without labels being read.
        captured: Images of the traffic, of which no clean version is known.
        options: Schedule, networks, objective.
        seed: Of initial weights, order, crops and noise.
        work: Folder below which finished and unfinished trainings lie.
        progress: Told of the steps.

    Raises:
        DataError: there are no captured images.
        TrainingError: the loss is not finite; the last kept state stays in ``work``.
    """
    if not len(captured.digests):
        raise DataError("expected captured images to adapt to, got none: capture some first")
    identity = _identity(clean, captured, options, seed)
    folder = work / f"adapted-{identity.hex()[:24]}"
    if not is_kept(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _train(
            clean, captured, options, seed, Checkpoint(folder / _STATE, identity), progress, folder
        )
    return kept_restorer(folder)


def _identity(clean: Images, captured: Images, options: AdaptedRestorer, seed: int) -> bytes:
    """Of all that the weights depend on."""
    schedule = options.training.model_dump(
        include={"steps", "batch_size", "learning_rate", "crop_px", "flips"}
    )
    facts = {
        "version": _VERSION,
        "options": options.model_dump(mode="json", exclude={"training"}),
        "training": schedule,
        "clean": sorted(clean.digests.tolist()),
        "captured": sorted(captured.digests.tolist()),
        "seed": seed,
        "torch": torch.__version__.partition("+")[0],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()


def _train(
    clean: Images,
    captured: Images,
    options: AdaptedRestorer,
    seed: int,
    checkpoint: Checkpoint,
    progress: Progress,
    folder: Path,
) -> None:
    schedule, method = options.training, METHODS[METHOD]
    training = method.build(
        method.network_options(options.network),
        method.objective_options(options.objective, schedule),
        Frozen(
            recognise=None,
            features=None,
            seed=seed,
            device="cuda" if torch.cuda.is_available() else "cpu",
        ),
    )
    done = checkpoint.load(training)
    progress.start("train: adapted restorer", schedule.steps)
    progress.advance(done)
    shown = _Shown(clean, captured, options, seed)
    for step in range(done, schedule.steps):
        _step(training, shown.batch(step), seed, step, checkpoint)
        progress.advance(1)
        if (step + 1) % schedule.checkpoint_every == 0:
            checkpoint.save(training, step + 1)
    keep_restorer(training.export(), folder)
    checkpoint.forget()


class _Shown:
    """The batch of each step, a function of the step's number."""

    def __init__(
        self, clean: Images, captured: Images, options: AdaptedRestorer, seed: int
    ) -> None:
        size = options.training.batch_size
        self._clean, self._captured, self._options = clean, captured, options
        self._clean_order = Order(clean.digests, size, seed=seed, purpose="adapt: clean")
        self._captured_order = Order(captured.digests, size, seed=seed, purpose="adapt: captured")

    def batch(self, step: int) -> TrainingBatch:
        schedule = self._options.training
        rows, seeds = self._clean_order.step(step)
        clean = self._clean.crops(rows, seeds, side=schedule.crop_px, flips=schedule.flips)
        others, own = self._captured_order.step(step)
        noisy = self._captured.crops(others, own, side=schedule.crop_px, flips=schedule.flips)
        return TrainingBatch(
            clean=clean,
            degraded=synthetic_noise(clean, seeds, highest_sigma=self._options.highest_sigma),
            labels=None,
            seeds=seeds,
            unlabelled=noisy,
        )


def _step(
    training: RestorerTraining, batch: TrainingBatch, seed: int, step: int, checkpoint: Checkpoint
) -> None:
    # Whatever a method draws from torch's own generator follows from the step alone.
    with torch.random.fork_rng():
        torch.manual_seed(seed + 1_000_003 * (step + 1))
        loss = training.step(batch)
    if not math.isfinite(loss):
        raise TrainingError(
            f"step {step + 1}: expected a finite loss, got {loss}: lower the learning rate; "
            f"{checkpoint.said()}"
        )
