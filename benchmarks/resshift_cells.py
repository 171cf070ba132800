"""The cells of ``resshift``: what is trained and judged under each seed, and how long it takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kept import Store, code_digest
from benchmarks.resshift_methods import Plan, Restore, trained
from benchmarks.resshift_tasks import TASKS, degraded, training_batch
from benchmarks.trainings import share_of
from gatekeeper.errors import InputError
from gatekeeper.images import Dataset, load_dataset, make_splits, seeds_for
from gatekeeper.metrics import psnr, ssim
from gatekeeper.progress import Progress
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.resshift import Parametrisation, ResShiftOptions, SwinUNetConfig
from gatekeeper.types import FloatArray, IntArray

METHODS = ("resshift-4", "resshift-15", "one-pass", "epsilon-4", "epsilon-15")
JUDGED = METHODS[:2]
"""Those that the figures are about; the others are trained under one seed."""

STAGES = ("train", "judge")
"""Each must be finished before the next; within one, jobs are independent of one another."""

INPUT = "input"
HIGHEST_DB = 60.0
CHUNK = 16

_SPLIT_SEED = 0
# About how long judging by each takes beside the others.
_LASTS = {"resshift-4": 4.0, "resshift-15": 15.0, "epsilon-4": 4.0, "epsilon-15": 15.0}

Cells = dict[tuple[str, str], dict[str, FloatArray]]
"""(method, task) -> per image psnr_db, ssim and seconds, each of shape (N,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Data and plan of one run.

    Attributes:
        data: All images.
        train: Positions of images to train on.
        test: Positions of images to judge on.
        halved: Whether images are first brought to half their size, for a quick run.
        plan: Of every training.
    """

    data: Dataset
    train: IntArray
    test: IntArray
    halved: bool
    plan: Plan

    def images(self, positions: IntArray) -> Tensor:
        """Clean images, shape (B, 3, H, W)."""
        images = self.data.batch(positions)
        return F.avg_pool2d(images, 2) if self.halved else images

    def batch(self, step: int) -> TrainingBatch:
        """The batch of a step, the same for every method."""
        rng = np.random.default_rng([self.plan.seed, step])
        rows = rng.choice(self.train, self.plan.batch_size)
        return training_batch(self.images(rows), rng.integers(0, 2**62, len(rows)))

    def facts(self) -> dict[str, Any]:
        """What determines batches and judged images, JSON-ready."""
        return {
            "code": code_digest("benchmarks.resshift_cells"),
            "train": self.data.digests[self.train].tolist(),
            "halved": self.halved,
        }


def open_bench(
    spec: str | None,
    *,
    quick: bool,
    steps: int,
    n_images: int,
    seed: int,
    predicts: Parametrisation = "residual",
) -> Bench:
    """Read the data and make the plan.

    Args:
        spec: Such as ``cifar10:PATH``; not used with ``quick``.
        quick: Digits at 14 px, a tiny network, few steps.
        steps: Of each training; not used with ``quick``.
        n_images: Judged images; likewise.
        seed: Of weights, batches and the judged images' noise; the images are the same for all.
        predicts: What the network of ResShift predicts.

    Raises:
        InputError: no data are named.
    """
    if not quick and spec is None:
        raise InputError("expected --data cifar10:PATH, or --quick for a small run on digits")
    data = load_dataset(
        "digits" if quick or spec is None else spec,
        announce=lambda line: print(line, file=sys.stderr),
    )
    small = {"validation": 50, "fit": 50, "calibrate": 50, "certify": 50}
    sizes: dict[str, int | float] = {"train": 1_000 if quick else 30_000, **small}
    splits = make_splits(
        data.labels,
        data.digests,
        test_index=data.test_index,
        sizes={**sizes, "test": 16 if quick else n_images},
        seed=_SPLIT_SEED,
    )
    network = (
        SwinUNetConfig(width=8, groups=4, swin_width=16, head_width=8)
        if quick
        else SwinUNetConfig()
    )
    options = ResShiftOptions(steps=60 if quick else steps, learning_rate=4e-3 if quick else 2e-3)
    plan = Plan(
        network=network,
        options=options,
        batch_size=8 if quick else 16,
        predicts=predicts,
        keep_every=60 if quick else 250,
        seed=seed,
    )
    return Bench(data=data, train=splits.train, test=splits.test, halved=quick, plan=plan)


class Measuring:
    """Trainings, cells and times of one seed, each part from the disk where it was done before.

    Args:
        bench: Data and plan.
        folder: Of all that is kept.
        progress: Told of trainings and judged images.
    """

    def __init__(self, bench: Bench, folder: Path, progress: Progress) -> None:
        self.bench, self._folder, self._progress = bench, folder, progress
        self._facts = bench.facts()
        self._judged = {
            **self._facts,
            **bench.plan.facts(),
            "test": bench.data.digests[bench.test].tolist(),
        }
        self._restorers: dict[str, Restore] = {}

    def restorer(self, method: str) -> Restore:
        """A trained method."""
        if method not in self._restorers:
            self._restorers[method] = trained(
                method,
                self.bench.plan,
                self.bench.batch,
                folder=self._folder,
                facts=self._facts,
                progress=self._progress,
            )
        return self._restorers[method]

    def cell(self, method: str, task: str) -> dict[str, FloatArray]:
        """Each judged image under one task: psnr_db, ssim and seconds, each of shape (N,)."""

        def make() -> dict[str, FloatArray]:
            restore = None if method == INPUT else self.restorer(method)
            stage = f"{method}, seed {self.bench.plan.seed}: {task}"
            self._progress.start(stage, len(self.bench.test))
            return _cell(self.bench, task, restore, self._progress)

        return Store(self._folder).arrays(
            f"{method}-{task}", {"method": method, "task": task, **self._judged}, make
        )

    def times(self) -> FloatArray:
        """Seconds of alternating runs at T = 4 and 15, shape (R, 2)."""
        found = Store(self._folder).arrays(
            "times",
            self._judged,
            lambda: {"seconds": _alternating(self.bench, [self.restorer(m) for m in JUDGED])},
        )
        return found["seconds"]


def methods_of(position: int) -> tuple[str, ...]:
    """What is trained under the seed at a position: everything under the first."""
    return JUDGED if position else METHODS


def work(all_seeds: Sequence[Measuring], stage: str, shard: str) -> None:
    """Do a share of a stage's jobs; what they make is kept."""
    jobs = [
        (1.0 if stage == STAGES[0] else _LASTS.get(method, 1.0), (measuring, method))
        for position, measuring in enumerate(all_seeds)
        for method in methods_of(position)
    ]
    for measuring, method in share_of(jobs, shard):
        if stage == STAGES[0]:
            measuring.restorer(method)
        else:
            for task in TASKS:
                measuring.cell(method, task)


def measured(all_seeds: Sequence[Measuring]) -> list[Cells]:
    """The cells of every seed."""
    return [
        {
            (method, task): measuring.cell(method, task)
            for method in (INPUT, *methods_of(position))
            for task in TASKS
        }
        for position, measuring in enumerate(all_seeds)
    ]


def over_seeds(cells: Sequence[Cells]) -> Cells:
    """Means over the seeds, image by image, of what was measured under all of them."""
    return {
        key: {name: np.mean([one[key][name] for one in cells], axis=0) for name in cells[0][key]}
        for key in cells[0]
        if all(key in one for one in cells)
    }


def _cell(
    bench: Bench, task: str, restore: Restore | None, progress: Progress
) -> dict[str, FloatArray]:
    """Each judged image under one task, restored, or left as it is."""
    found: dict[str, list[float]] = {"psnr_db": [], "ssim": [], "seconds": []}
    for start in range(0, len(bench.test), CHUNK):
        rows = bench.test[start : start + CHUNK]
        clean = bench.images(rows)
        seeds = seeds_for(bench.plan.seed, bench.data.digests[rows], f"resshift/{task}")
        shown, mask = degraded(task, clean, seeds)
        started = time.perf_counter()
        restored = shown if restore is None else restore(shown, seeds=seeds, mask=mask)
        seconds = (time.perf_counter() - started) / len(rows)
        for image, wanted in zip(restored.numpy(), clean.numpy(), strict=True):
            found["psnr_db"].append(min(psnr(image, wanted), HIGHEST_DB))
            found["ssim"].append(ssim(image, wanted))
            found["seconds"].append(0.0 if restore is None else seconds)
        progress.advance(len(rows))
    return {name: np.array(values) for name, values in found.items()}


def _alternating(bench: Bench, restorers: Sequence[Restore], repeats: int = 5) -> FloatArray:
    """Seconds for one batch, the restorers taking turns, shape (repeats, restorers)."""
    rows = bench.test[:CHUNK]
    seeds = seeds_for(bench.plan.seed, bench.data.digests[rows], "resshift/time")
    shown, _ = degraded("denoise", bench.images(rows), seeds)
    seconds = np.zeros((repeats, len(restorers)))
    for restore in restorers:
        restore(shown, seeds=seeds)
    for repeat in range(repeats):
        for position, restore in enumerate(restorers):
            started = time.perf_counter()
            restore(shown, seeds=seeds)
            seconds[repeat, position] = time.perf_counter() - started
    return seconds
