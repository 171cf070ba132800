"""The cells of ``restoration``: data, classifiers, and the jobs that two cores can share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kept import Store
from benchmarks.restoration_gates import Gates
from benchmarks.restoration_runs import PSNR, QUICK, SIGMAS, TRAINED, Runs, Size
from benchmarks.study import SPLIT_SIZES
from benchmarks.trainings import share_of
from gatekeeper.bundle import ClassifierSpec
from gatekeeper.images import Dataset, Splits, load_dataset, make_splits
from gatekeeper.paths import shipped
from gatekeeper.progress import Progress
from gatekeeper.recipe import ClassifierTraining
from gatekeeper.training import classifier_of_record, train_classifier
from gatekeeper.types import BoolArray, FloatArray

CLASSIFIER = "mobilenetv2-cifar10"
"""Judged unless others are named; each more makes the run longer, the larger one threefold."""

STAGES = ("train", "judge")
"""Each must be finished before the next; within one, jobs are independent of one another."""

_SIGMAS, _GATE = "sigmas", "gate"
_JUDGED = {_SIGMAS: 4.0, _GATE: 10.0}  # and about how long it takes beside the other

_QUICK_SIZES = {
    "train": 500, "validation": 40, "fit": 400, "calibrate": 220, "certify": 200, "test": 80,
}  # fmt: skip
_QUICK_TRAINING = ClassifierTraining(epochs=1, min_steps=40, batch_size=32)
_SPLIT_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one classifier under one seed showed.

    Attributes:
        classifier: Its name.
        seed: The seed.
        right: Sigma -> condition -> whether each judged image is answered rightly.
        gate: See :meth:`benchmarks.restoration_gates.Gates.counts`.
    """

    classifier: str
    seed: int
    right: Mapping[float, Mapping[str, BoolArray]]
    gate: Mapping[str, FloatArray]


def opened(
    spec: str | None, names: Sequence[str], folder: Path
) -> tuple[Dataset, Splits, dict[str, ClassifierSpec]]:
    """Data, splits and frozen classifiers; the digits and a small one without a spec."""
    data = load_dataset(spec or "digits", announce=print)
    splits = make_splits(
        data.labels,
        data.digests,
        test_index=data.test_index,
        sizes=SPLIT_SIZES if spec else _QUICK_SIZES,
        seed=_SPLIT_SEED,
    )
    if spec:
        return data, splits, {n: classifier_of_record(shipped("models", n)) for n in names}
    weights = folder / "classifier.safetensors"
    small = train_classifier(data, splits, _QUICK_TRAINING, weights=weights, seed=_SPLIT_SEED)
    return data, splits, {"small-resnet-digits": small}


class Bench:
    """All cells of a run: data, frozen classifiers, seeds, and where results are kept.

    Args:
        spec: Such as ``cifar10:PATH``; None for the small run.
        names: Records of the classifiers.
        seeds: Of draws, fits and restorers.
        folder: Of all that is kept.
        scratch: Of the small run's classifier.
        progress: Told of everything.
    """

    def __init__(
        self,
        spec: str | None,
        names: Sequence[str],
        seeds: Sequence[int],
        folder: Path,
        scratch: Path,
        progress: Progress,
    ) -> None:
        self.data, self.splits, self._specs = opened(spec, names, scratch)
        self._seeds, self._folder, self._progress = seeds, folder, progress
        self._quick = spec is None

    def runs(self, name: str, seed: int) -> Runs:
        """Restorers and answers of a classifier under a seed."""
        return Runs(
            self.data,
            self.splits,
            self._specs[name],
            QUICK if self._quick else Size(),
            seed=seed,
            store=Store(self._folder / f"{name}-seed-{seed}"),
            progress=self._progress,
        )

    def gate(self, runs: Runs) -> Mapping[str, FloatArray]:
        """What the gate of a cell shows."""
        return Gates(runs, quick=self._quick, cells=self._folder / "cells").counts()

    def work(self, stage: str, shard: str) -> None:
        """Do a share of a stage's jobs; what they make is kept."""
        whats = TRAINED if stage == STAGES[0] else _JUDGED
        jobs = [
            (weight, (name, seed, what))
            for name in self._specs
            for seed in self._seeds
            for what, weight in whats.items()
            # Classifiers under one seed share it.
            if what != PSNR or name == next(iter(self._specs))
        ]
        for name, seed, what in share_of(jobs, shard):
            runs = self.runs(name, seed)
            if what == _GATE:
                self.gate(runs)
            elif what == _SIGMAS:
                for sigma in SIGMAS:
                    runs.right_at(sigma)
            else:
                runs.restorer(what)

    def cells(self) -> list[Cell]:
        """All cells, from the disk where they are there."""
        return [
            Cell(
                classifier=name,
                seed=seed,
                right={sigma: runs.right_at(sigma) for sigma in SIGMAS},
                gate=self.gate(runs),
            )
            for name in self._specs
            for seed in self._seeds
            for runs in (self.runs(name, seed),)
        ]
