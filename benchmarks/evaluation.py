"""What evaluating costs beside the looks themselves, what a kill loses, and whether it is right.

    python -m benchmarks.evaluation --data cifar10:PATH [--quick] [--out DIR]

One classifier under 19 corruptions x 5 severities with all metrics and the report, against a bare
loop that makes the same corruptions and runs the forward pass, on every fifth of the images: its
cost is proportional to their number. Seconds are those of the processor, so that a busy machine
changes neither side. On 2 cores of its own the full run takes about 27 minutes: 480,000 looks and
96,000. It is kept cell by cell below ``runs/cells``: a run that was cut short goes on there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score
from torchmetrics.functional.classification import binary_calibration_error

from benchmarks import evaluation_victim
from benchmarks.demo import described
from benchmarks.evaluation_meter import Meter, seconds_of_each
from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.kept import ROOT, code_digest
from gatekeeper.cli.progress import Bars
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.evaluation import (
    PUBLISHED,
    Evaluation,
    Grid,
    JudgedImages,
    RunFacts,
    Settings,
    Subject,
    evaluate,
    images_to_judge,
    record,
    views_of,
)
from gatekeeper.evaluation import write_results as write_evaluation_results
from gatekeeper.images import Dataset, load_dataset, make_splits, seeds_for
from gatekeeper.paths import shipped
from gatekeeper.protocols import Classifier
from gatekeeper.recipe import ClassifierTraining
from gatekeeper.report import EvaluationContent, gallery_of, write_evaluation
from gatekeeper.training import classifier_of_record, train_classifier
from gatekeeper.types import IntArray

CLASSIFIER = "resnet18-cifar10"
_BATCH = 256
_SEED = 0
_BARE_EVERY = 5
_PATIENCE_S = 120.0
_QUICK_IMAGES = 60
_QUICK_CORRUPTIONS = ("gaussian_noise", "fog")
_QUICK_SIZES = {
    "train": 600, "validation": 100, "fit": 100, "calibrate": 100, "certify": 100, "test": 100,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """What is evaluated."""

    data: Dataset
    judged: JudgedImages
    grid: Grid
    subject: Subject
    spec: str


def full_scene(spec: str) -> Scene:
    """The test images of CIFAR-10 and a shipped classifier."""
    data = load_dataset(spec, announce=_say)
    classifier = classifier_of_record(shipped("models", CLASSIFIER)).build()
    return _scene(data, classifier, Grid(PUBLISHED), None, spec)


def quick_scene() -> Scene:
    """Some digits and a network that is trained on the spot."""
    data = load_dataset("digits", announce=_say)
    splits = make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=_QUICK_SIZES, seed=_SEED
    )
    training = ClassifierTraining(epochs=1, min_steps=25, batch_size=32)
    with tempfile.TemporaryDirectory(prefix="gatekeeper-evaluation-") as folder:
        weights = Path(folder) / "w.safetensors"
        classifier = train_classifier(data, splits, training, weights=weights, seed=_SEED).build()
    return _scene(data, classifier, Grid(_QUICK_CORRUPTIONS), _QUICK_IMAGES, "digits")


def _scene(
    data: Dataset, classifier: Classifier, grid: Grid, limit: int | None, spec: str
) -> Scene:
    subject = Subject(name=classifier.model_id, classifier=classifier, source=spec)
    judged = images_to_judge(data, limit=limit)
    return Scene(data=data, judged=judged, grid=grid, subject=subject, spec=spec)


def bare_cell(scene: Scene, positions: IntArray, condition: int) -> None:
    """The same corruptions and forward passes under one condition, nothing else."""
    name, severity = scene.grid.conditions[condition]
    seeds = seeds_for(_SEED, scene.data.digests[positions], f"evaluate/{name}/{severity}")
    for start in range(0, len(positions), _BATCH):
        rows = slice(start, start + _BATCH)
        images = scene.data.batch(positions[rows])
        if name:
            images = CORRUPTIONS[name](images, severity=severity, seeds=seeds[rows])
        scene.subject.classifier.look(images)


def bare_loop(scene: Scene, folder: Path) -> tuple[int, float]:
    """Looks and seconds of the bare loop, on every fifth of many images."""
    positions = scene.judged.positions
    if len(positions) > _BATCH * _BARE_EVERY:
        positions = positions[::_BARE_EVERY]
    seconds = seconds_of_each(
        folder / "bare.jsonl",
        {
            f"{name} {severity}": partial(bare_cell, scene, positions, condition)
            for condition, (name, severity) in enumerate(scene.grid.conditions)
        },
    )
    return len(positions) * len(scene.grid), sum(seconds.values())


def whole_evaluation(scene: Scene, folder: Path) -> tuple[Evaluation, int, float]:
    """All metrics, files and the page; returns the size of the page and the seconds, too."""
    with Bars() as bars:
        meter = Meter(folder / "seconds", shown=bars)
        finished = evaluate(
            [scene.subject],
            scene.data,
            scene.judged,
            scene.grid,
            settings=Settings(seed=_SEED),
            cache=folder / "cells",
            progress=meter,
        )
        facts = RunFacts(
            command="python -m benchmarks.evaluation", date="", seconds=0.0, versions={}
        )
        content = record(finished, [], facts)
        write_evaluation_results(folder, finished, content)
        page = folder / "report.html"
        gallery = gallery_of(finished)
        write_evaluation(
            page, EvaluationContent(evaluation=finished, record=content, gallery=gallery)
        )
        seconds = meter.keep()
    return finished, page.stat().st_size, seconds


def place_of(scene: Scene) -> Path:
    """Where the cells of this scene and this code are kept."""
    facts = {
        "classifier": scene.subject.classifier.digest,
        "images": sorted(scene.data.digests[scene.judged.positions].tolist()),
        "grid": list(scene.grid.conditions),
        "code": code_digest("benchmarks.evaluation"),
    }
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return ROOT / "runs" / "cells" / f"evaluation-{digest}"


def agreement(finished: Evaluation) -> list[dict[str, Any]]:
    """Our figures beside those of scikit-learn and torchmetrics, where definitions agree."""
    rows = []
    name = finished.subjects[0].name
    view = views_of(finished.answers[name])["msp"]
    for scope, conditions in (
        ("clean", np.array([0])),
        ("all", np.arange(1, len(finished.grid))),
    ):
        taken = view.take(conditions)
        # In 64 bits: a peer that adds half a million 32-bit numbers is off by more than the target.
        stated = taken.stated.ravel().astype(np.float64)
        correct = taken.correct.ravel()
        peers: Mapping[str, float] = {
            "accuracy": accuracy_score(np.ones(len(correct)), correct),
            "failure_auroc": roc_auc_score(correct, stated),
            "brier": brier_score_loss(correct, stated),
            "ece": float(
                binary_calibration_error(
                    torch.from_numpy(stated), torch.from_numpy(correct.astype(np.int64)), n_bins=15
                )
            ),
        }
        for metric, peer in peers.items():
            ours = finished.figure(name, "msp", scope, metric)
            value = None if ours is None else ours.value
            if value is None:
                continue
            rows.append(
                {
                    "scope": scope,
                    "metric": metric,
                    "ours": value,
                    "peer": float(peer),
                    "difference": abs(value - float(peer)),
                }
            )
    return rows


def cells_lost_on_kill(folder: Path) -> tuple[int, dict[str, Any]]:
    """Kill an evaluation in the middle of a cell, go on, and count what was made twice.

    Args:
        folder: Empty.

    Returns:
        Cells that were begun before the kill and had to be begun again, and the counts behind.
    """
    cells = folder / "cells"
    victim = subprocess.Popen(  # noqa: S603  # our own module
        [sys.executable, "-m", "benchmarks.evaluation_victim", str(folder)], cwd=ROOT
    )
    deadline = time.monotonic() + _PATIENCE_S
    while not (folder / evaluation_victim.WAITS).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    kept = len(list(cells.glob("*.safetensors")))
    n_rows = int((folder / evaluation_victim.ROWS).read_text(encoding="utf-8"))
    begun = max(kept, -(-n_rows // evaluation_victim.N_IMAGES))
    answers, n_looked = evaluation_victim.run(folder, to_be_killed=False)
    total = len(evaluation_victim.GRID)
    # One look at a single image tells the kind of logits.
    made_again = (n_looked - 1) // evaluation_victim.N_IMAGES
    counts = {
        "cells": total,
        "begun_before_the_kill": begun,
        "kept": kept,
        "made_after_it": made_again,
        "answers": int(answers.raw_labels.size),
    }
    return begun + made_again - total, counts


def peak_memory_gb(path: Path) -> float:
    """The most memory that this process has held, and those before it that were cut short.

    Args:
        path: Where it is kept between runs.

    Returns:
        Gigabytes of 10⁹ bytes.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    if path.exists():
        peak = max(peak, float(json.loads(path.read_text(encoding="utf-8"))["gb"]))
    path.write_text(json.dumps({"gb": peak}), encoding="utf-8")
    return peak


def measure(scene: Scene, folder: Path) -> tuple[list[Figure], list[dict[str, Any]]]:
    """All figures of one scene; what is finished lies in the folder."""
    torch.manual_seed(_SEED)
    scene.subject.classifier.look(scene.data.batch(scene.judged.positions[:1]))  # warm up
    n_bare, bare = bare_loop(scene, folder)
    finished, page_bytes, whole = whole_evaluation(scene, folder)
    n_looks = len(scene.judged.positions) * len(scene.grid)
    peak = peak_memory_gb(folder / "peak.json")
    agreed = agreement(finished)
    with tempfile.TemporaryDirectory(prefix="gatekeeper-evaluation-") as empty:
        lost, counts = cells_lost_on_kill(Path(empty))
    figures = [
        Figure(
            name="overhead",
            value=(whole / n_looks) / (bare / n_bare),
            target=1.25,
            direction="lower",
            judged="value",
            note=f"{n_looks:,} looks, bare {n_bare:,}; seconds of the processor per look",
        ),
        Figure(
            name="peak_memory_gb",
            value=peak,
            target=3.0,
            direction="lower",
            judged="value",
            note="of the whole benchmark; of all its runs where it was cut short",
        ),
        Figure(name="cells_lost_on_kill", value=lost, target=1, direction="lower", judged="value"),
        Figure(
            name="report_bytes",
            value=page_bytes,
            target=2_000_000,
            direction="lower",
            judged="value",
        ),
        Figure(
            name="metric_agreement",
            value=max(row["difference"] for row in agreed),
            target=1e-6,
            direction="lower",
            judged="value",
            note="accuracy, failure AUROC, Brier (scikit-learn), ECE (torchmetrics)",
        ),
    ]
    table: list[dict[str, Any]] = [
        {"side": "bare loop", "looks": n_bare, "processor_s": bare},
        {"side": "evaluation", "looks": n_looks, "processor_s": whole},
        {"side": "kill", **counts},
        *agreed,
    ]
    return figures, table


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, judge, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evaluation", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", default=None, help="such as cifar10:PATH")
    parser.add_argument("--quick", action="store_true", help="a small run on digits")
    parser.add_argument("--out", type=Path, default=None, help="folder for evaluation.json")
    arguments = parser.parse_args(argv)
    if not arguments.quick and arguments.data is None:
        parser.error("expected --data cifar10:PATH, or --quick for a small run on digits")
    started = time.perf_counter()
    scene = quick_scene() if arguments.quick else full_scene(arguments.data)
    # A quick run leaves nothing behind; a full one goes on where it was.
    with (
        tempfile.TemporaryDirectory(prefix="gatekeeper-evaluation-")
        if arguments.quick
        else nullcontext(str(place_of(scene)))
    ) as folder:
        figures, table = measure(scene, Path(folder))
    for figure in figures:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<22}{figure.value:>14.6g}  target {figure.target:>9}  {verdict}")
    name = scene.spec.partition(":")[0]
    option = "--quick" if arguments.quick else f"--data {name}"
    # A quick run must not pass for the benchmark.
    usual = Path("runs") / "benchmarks" if arguments.quick else RESULTS
    path = write_results(
        "evaluation",
        command=f"python -m benchmarks.evaluation {option}",
        seeds=[_SEED],
        data=described(scene.data, scene.spec, len(scene.judged.positions)),
        seconds=time.perf_counter() - started,
        figures=figures,
        table=table,
        folder=arguments.out or usual,
    )
    print(f"wrote {path}")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
