"""Hold out each group once: fit on the rest, score *test*; all on disk, so that it is done once.

    python -m benchmarks.held_out --data cifar10:PATH --classifier NAME [--seeds 0,1,2]

The benchmarks ``failure_detection`` and ``calibration`` read what this makes. Fill
``benchmarks.study`` and ``benchmarks.second_opinions`` first: both use all cores. Every array is
kept under the hash of the code that made it, the evidence that it was made from, and the seed, so
an interrupted run continues, and after a change only what depends on it is made again.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from benchmarks.calibrations import CALIBRATIONS, Answers
from benchmarks.grid import Grid, fit_rows, thinned
from benchmarks.harness import versions
from benchmarks.kept import ROOT, Store, code_digest
from benchmarks.ours import our_predictor
from benchmarks.peers import MOST_ROWS, PEERS
from benchmarks.second_opinions import SecondOpinions, second_opinions
from benchmarks.study import CLASSIFIERS, Study, open_study, without_group
from gatekeeper.cli.progress import Bars
from gatekeeper.corruptions import corruption
from gatekeeper.errors import InputError
from gatekeeper.evidence import EvidenceTable, Plan
from gatekeeper.paths import cache_dir
from gatekeeper.progress import Progress
from gatekeeper.protocols import Evidence, ReliabilityPredictor
from gatekeeper.reliability import PREDICTORS, predictor
from gatekeeper.types import FloatArray, IntArray

SINGLE_SCORES: tuple[str, ...] = tuple(sorted(set(PREDICTORS) - {"learned"}))
"""Published scores, each as its paper has it: what it learns, it learns from clean looks."""

ADAPTED_SCORES: tuple[str, ...] = ("mahalanobis", "max_logit_pnorm", "sirc")
"""Scores that are fitted once more on looks that ours is fitted on, corrupted ones included."""

PEER_SEED = 0

_BLOCK = 8192
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")


class Rotation:
    """All that is fitted and scored for one classifier, each group held out once.

    Args:
        study: Data, splits and classifiers.
        classifier: Name of the classifier.
        store: Where arrays are kept.
        second: What ours hears beside the classifier.
    """

    def __init__(self, study: Study, classifier: str, store: Store, second: SecondOpinions) -> None:
        self.study = study
        self.classifier = classifier
        self.store = store
        self.second = second
        self._tables: dict[str, EvidenceTable] = {}
        self._said: dict[tuple[str, str], FloatArray] = {}

    @cached_property
    def grid(self) -> Grid:
        """The conditions of *test*."""
        return Grid.of(self._plans["test"])

    def answers(self) -> dict[str, FloatArray]:
        """Of every *test* row: ``logits`` (N, K), ``labels`` (N,) and ``correct`` (N,)."""

        def make() -> dict[str, FloatArray]:
            table = self._table("test")
            return {
                "logits": table.evidence.logits,
                "labels": np.asarray(table.labels),
                "correct": table.correct,
            }

        return self._kept("answers", {}, make)

    def single(self, name: str) -> FloatArray:
        """A published score of every *test* row, fitted on the clean looks of *fit*; (N,)."""
        made = predictor(name)

        def make() -> dict[str, FloatArray]:
            fit, test = self._table("fit"), self._table("test")
            clean = np.flatnonzero(fit.plan.corruptions == "")
            made.fit(fit.evidence.take(clean), fit.labels[clean])
            return {"scores": score_rows(made, test.evidence, np.arange(len(test)))}

        facts = {"what": name, "code": code_digest(type(made).__module__)}
        return self._kept(name, facts, make)["scores"]

    def adapted(self, name: str, group: str) -> FloatArray:
        """The same fitted on all looks without the group, of :meth:`Grid.judged` rows alone."""
        made = predictor(name)

        def make() -> dict[str, FloatArray]:
            self._fit(made, group, PEER_SEED, MOST_ROWS)
            evidence = self._table("test").evidence
            return {"scores": score_rows(made, evidence, self.grid.judged(group))}

        facts = {"what": name, "code": code_digest(type(made).__module__)}
        facts |= _rotated(group, PEER_SEED)
        return self._kept(f"{name}-adapted", facts, make)["scores"]

    def peer(self, name: str, group: str) -> FloatArray:
        """A learning peer's score of every *test* row, without the group in its fit; (N,)."""

        def make() -> dict[str, FloatArray]:
            made = PEERS[name](PEER_SEED)
            self._fit(made, group, PEER_SEED, MOST_ROWS)
            test = self._table("test")
            return {"scores": score_rows(made, test.evidence, np.arange(len(test)))}

        facts = {"what": name, "code": code_digest("benchmarks.peers")}
        return self._kept("peer", facts | _rotated(group, PEER_SEED), make)["scores"]

    def ours(self, group: str, seed: int) -> dict[str, FloatArray]:
        """Our predictor's scores without the group: ``test`` (N,) and ``calibrate`` (C,)."""

        def make() -> dict[str, FloatArray]:
            made = our_predictor(seed)
            table = self._table("fit")
            rows = fit_rows(table.plan, without_group(table, group), seed)
            made.fit(self._heard("fit", group, rows), table.labels[rows])
            found = {}
            for part in ("test", "calibrate"):
                every = np.arange(len(self._table(part)))
                blocks = [every[start : start + _BLOCK] for start in range(0, len(every), _BLOCK)]
                found[part] = np.concatenate(
                    [made.score(self._heard(part, group, block)) for block in blocks]
                )
            return found

        return self._kept("ours", self._ours_facts(group, seed), make)

    def alone(self, group: str) -> FloatArray:
        """Our predictor without the second opinion, of every *test* row, shape (N,)."""

        def make() -> dict[str, FloatArray]:
            made = our_predictor(PEER_SEED)
            self._fit(made, group, PEER_SEED, None)
            test = self._table("test")
            return {"scores": score_rows(made, test.evidence, np.arange(len(test)))}

        return self._kept("alone", _fit_facts(group, PEER_SEED), make)["scores"]

    def _heard(self, part: str, group: str, rows: IntArray) -> Evidence:
        """Looks with what the second opinion says of them as the last probes."""
        if (part, group) not in self._said:
            self._said = {key: array for key, array in self._said.items() if key[1] == group} | {
                (part, group): self.second.probes(part, group)
            }
        looks = self._table(part).evidence.take(rows)
        said = self._said[part, group][rows]
        return replace(looks, probes=np.concatenate([looks.probes, said], axis=1))

    def _ours_facts(self, group: str, seed: int) -> dict[str, Any]:
        return {**_fit_facts(group, seed), "second": self.second.facts(group)}

    def reliabilities(self, group: str, seed: int) -> dict[str, FloatArray]:
        """Way to a reliability -> reliability of the :meth:`Grid.judged` rows."""

        def make() -> dict[str, FloatArray]:
            scores, calibrate = self.ours(group, seed), self._table("calibrate")
            rows = np.flatnonzero(without_group(calibrate, group))
            learn = _answers(calibrate, scores["calibrate"], rows)
            judge = _answers(self._table("test"), scores["test"], self.grid.judged(group))
            return {
                name: np.asarray(calibration(learn, judge), dtype=np.float64)
                for name, calibration in CALIBRATIONS.items()
            }

        facts = {
            "ours": self._ours_facts(group, seed),
            "code": code_digest("benchmarks.calibrations"),
        }
        return self._kept("reliabilities", facts, make)

    def make_all(self, seeds: Sequence[int], progress: Progress) -> None:
        """Make every array that is not on disk yet, and forget the tables."""
        work: list[Callable[[], object]] = [self.answers]
        work += [lambda name=name: self.single(name) for name in SINGLE_SCORES]
        for group in self.study.corruptions:
            for seed in seeds:
                # Needs the scores of ours, and makes them.
                work.append(lambda group=group, seed=seed: self.reliabilities(group, seed))
            work += [lambda group=group: self.alone(group)]
            work += [lambda name=name, group=group: self.peer(name, group) for name in PEERS]
            work += [
                lambda name=name, group=group: self.adapted(name, group) for name in ADAPTED_SCORES
            ]
        progress.start(self.classifier, len(work))
        for make in work:
            make()
            progress.advance(1)
        self._tables.clear()
        self._said.clear()

    @cached_property
    def _plans(self) -> dict[str, Plan]:
        return {part: self.study.plan(part) for part in ("fit", "calibrate", "test")}

    @cached_property
    def _origin(self) -> str:
        """Hash of what every array depends on: images, conditions, classifier, libraries."""
        known, size = versions(), self.study.data.image_size
        kinds = [np.unique(plan.corruptions) for plan in self._plans.values()]
        names = [name for name in np.unique(np.concatenate(kinds)).tolist() if name]
        facts = {
            "classifier": self.study.classifiers[self.classifier].digest,
            "tables": {name: corruption(name).table_for(*size) for name in names},
            "versions": {package: known[package] for package in _PACKAGES},
        }
        total = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for plan in self._plans.values():
            digests = np.asarray(self.study.data.digests[plan.positions])
            for array in (digests, plan.corruptions, plan.severities, plan.seeds):
                total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

    def _table(self, part: str) -> EvidenceTable:
        if part not in self._tables:
            self._tables[part] = self.study.table(self.classifier, part)
        return self._tables[part]

    def _kept(
        self, name: str, facts: Mapping[str, Any], make: Callable[[], Mapping[str, FloatArray]]
    ) -> dict[str, FloatArray]:
        return self.store.arrays(
            f"{self.classifier}-{name}", {"origin": self._origin, **facts}, make
        )

    def _fit(self, made: ReliabilityPredictor, group: str, seed: int, most: int | None) -> None:
        table = self._table("fit")
        rows = thinned(fit_rows(table.plan, without_group(table, group), seed), most, seed)
        made.fit(table.evidence.take(rows), table.labels[rows])


def score_rows(fitted: ReliabilityPredictor, evidence: Evidence, rows: IntArray) -> FloatArray:
    """Scores of some rows, in blocks, so that few inputs are in memory at a time."""
    blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    return np.concatenate([fitted.score(evidence.take(block)) for block in blocks])


def _answers(table: EvidenceTable, scores: FloatArray, rows: IntArray) -> Answers:
    # Features and probes are large, and no calibrator reads them.
    none = np.zeros((len(table), 0), dtype=np.float32)
    return Answers(
        scores=scores[rows],
        evidence=replace(table.evidence, features=None, probes=none).take(rows),
        labels=table.labels[rows],
        clean=np.asarray(table.plan.corruptions[rows] == ""),
    )


def _fit_facts(group: str, seed: int) -> dict[str, Any]:
    return {"what": "ours", "code": code_digest("benchmarks.ours"), **_rotated(group, seed)}


def _rotated(group: str, seed: int) -> dict[str, Any]:
    rows = [inspect.getsource(fit_rows), inspect.getsource(thinned), MOST_ROWS]
    return {"group": group, "seed": seed, "rows": rows}


def rotations(
    spec: str | None, *, quick: bool, seeds: Sequence[int]
) -> tuple[Study, dict[str, Rotation]]:
    """The study with every array made: in one process per classifier, then read from disk.

    Args:
        spec: Such as ``cifar10:PATH``; None only with ``quick``.
        quick: The small run on digits, in this process.
        seeds: Of our fits.

    Raises:
        InputError: no data are named, or a process failed.
    """
    if not quick:
        _in_processes(spec, seeds)
    study = open_study(spec, quick=quick)
    store, second = _store(), second_opinions(study)
    found = {name: Rotation(study, name, store, second) for name in study.classifiers}
    with Bars() as bars:
        for rotation in found.values():
            rotation.make_all(seeds, bars)
    return study, found


def _store() -> Store:
    return Store(cache_dir() / "benchmarks" / "held-out")


def _in_processes(spec: str | None, seeds: Sequence[int]) -> None:
    if spec is None:
        raise InputError("expected --data cifar10:PATH, or --quick for a small run on digits")
    command = [sys.executable, "-m", "benchmarks.held_out", "--data", spec]
    command += ["--seeds", ",".join(map(str, seeds)), "--classifier"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([*command, name], cwd=ROOT, env=environment)  # noqa: S603  # our own module
        for name in CLASSIFIERS
    ]
    failed = [n for n, worker in zip(CLASSIFIERS, workers, strict=True) if worker.wait()]
    if failed:
        raise InputError(f"the fits for {', '.join(failed)} failed, see above; a new run continues")


def parse_seeds(text: str) -> list[int]:
    """``"0,1,2"`` -> [0, 1, 2].

    Raises:
        InputError: not whole numbers, or not all different.
    """
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"expected seeds such as 0,1,2, got {text!r}") from error
    if len(set(seeds)) != len(seeds):
        raise InputError(f"expected different seeds, got {text}")
    return seeds


def main(argv: Sequence[str] | None = None) -> None:
    """Make the arrays of one classifier, in this process."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="such as cifar10:PATH")
    parser.add_argument("--seeds", default="0,1,2", help="such as 0,1,2")
    parser.add_argument("--classifier", required=True, choices=CLASSIFIERS)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    study = open_study(arguments.data, only=[arguments.classifier])
    with Bars() as bars:
        rotation = Rotation(study, arguments.classifier, _store(), second_opinions(study))
        rotation.make_all(parse_seeds(arguments.seeds), bars)


if __name__ == "__main__":
    main()
