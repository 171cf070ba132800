"""What a classifier, or the gate before it, answers to every image under every condition."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gatekeeper.bundle import FittedGate
from gatekeeper.errors import InputError
from gatekeeper.evaluation.grid import Grid
from gatekeeper.evaluation.streams import final_reliability, replay
from gatekeeper.evidence import EvidenceTable, TableBuilder
from gatekeeper.images import Dataset
from gatekeeper.judging import judge
from gatekeeper.mlp import log_softmax
from gatekeeper.progress import Progress
from gatekeeper.protocols import Classifier, Look
from gatekeeper.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """What is evaluated.

    Attributes:
        name: Under which results show it; each subject of one evaluation has its own.
        classifier: The classifier.
        source: Where it came from, as the caller wrote it.
        fitted: The gate before it; None for a classifier alone.
        identity: Identity of the bundle; "" for a classifier alone.
        run_id: MLflow run that made it; "" where none is known.
    """

    name: str
    classifier: Classifier
    source: str
    fitted: FittedGate | None = None
    identity: str = ""
    run_id: str = ""


class _WithoutFeatures:
    """The classifier, less its features: nothing reads them here, and they would fill the cache."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.model_id = classifier.model_id
        self.class_names = classifier.class_names
        self.digest = hashlib.sha256(f"logits only: {classifier.digest}".encode()).hexdigest()

    def look(self, images: Tensor) -> Look:
        return replace(self._classifier.look(images), features=None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GateAnswers:
    """What the gate made of C conditions x N images; all arrays have shape (C, N).

    Attributes:
        raw_score: The raw predictor's score, higher is more reliable.
        raw_reliability: Calibrated, in [0, 1].
        accepted: Whether the final answer is accepted.
        restored: Whether the image went through a restorer.
        final_labels: The answer that counts, before abstention.
        kept_reliability: Of the attempt that counts, in [0, 1]; what the thresholds compare.
        reliability: The number that is returned, in [0, 1].
    """

    raw_score: FloatArray
    raw_reliability: FloatArray
    accepted: BoolArray
    restored: BoolArray
    final_labels: IntArray
    kept_reliability: FloatArray
    reliability: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """Answers of one subject to C conditions x N images.

    Attributes:
        labels: True classes, shape (N,).
        raw_labels: The classifier's answers to the images as received, shape (C, N).
        msp: Maximum softmax of those answers, in [0, 1], shape (C, N).
        gate: What the gate made of them; None for a classifier alone.
    """

    labels: IntArray
    raw_labels: IntArray
    msp: FloatArray
    gate: GateAnswers | None

    @property
    def raw_correct(self) -> BoolArray:
        """Whether the classifier alone is right, shape (C, N)."""
        return np.asarray(self.raw_labels == self.labels)

    @property
    def final_correct(self) -> BoolArray:
        """Whether the final answer is right: of the gate, else of the classifier; (C, N)."""
        final = self.raw_labels if self.gate is None else self.gate.final_labels
        return np.asarray(final == self.labels)


def gather(
    subject: Subject,
    data: Dataset,
    positions: IntArray,
    grid: Grid,
    *,
    seed: int,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Answers:
    """Show a subject every image under every condition.

    Args:
        subject: Classifier or gate.
        data: The data set, at the size that the gate was fitted for.
        positions: The images, shape (N,).
        grid: The conditions.
        seed: The run's seed; with an image's digest it sets its corruptions.
        cache: Folder of finished cells; a run that was killed goes on from there.
        progress: Told of every image and condition.

    Raises:
        InputError: the data have other classes than the subject, or another image size than the
            gate.
    """
    _check_fits(subject, data)
    fitted = subject.fitted
    classifier: Classifier = subject.classifier
    if fitted is None:
        classifier = _WithoutFeatures(classifier)
    builder = TableBuilder(
        data,
        classifier,
        {} if fitted is None else fitted.restorers,
        cache=cache,
        progress=progress,
        views=() if fitted is None else fitted.views,
        second_opinion=None if fitted is None else fitted.second,
    )
    rows = []
    for condition in range(len(grid)):
        plan = grid.plan(data, positions, condition, seed=seed)
        table = builder.raw(plan)
        rows.append(_alone(table) if fitted is None else _gated(fitted, table, builder))
    return _stacked(data.labels[positions], rows)


def _check_fits(subject: Subject, data: Dataset) -> None:
    n_classes = len(subject.classifier.class_names)
    if n_classes != len(data.class_names):
        raise InputError(
            f"expected data of the {n_classes} classes of {subject.name}, got {data.name} with "
            f"{len(data.class_names)}: choose other data or another classifier"
        )
    if subject.fitted is not None and subject.fitted.image_size != data.image_size:
        raise InputError(
            f"expected images of {subject.fitted.image_size} px, for which {subject.name} was "
            f"fitted, got {data.image_size}: bring the data to that size"
        )


def _alone(table: EvidenceTable) -> dict[str, Any]:
    return {
        "raw_labels": table.evidence.labels,
        "msp": np.exp(log_softmax(table.evidence.logits).max(axis=1)),
    }


def _gated(fitted: FittedGate, table: EvidenceTable, builder: TableBuilder) -> dict[str, Any]:
    # Above the threshold the gate never restores, so no restored look is missing.
    judged = judge(fitted, table, builder, doubt_below=min(1.0, fitted.gate.accept_raw_at))
    replayed = replay(fitted, judged)
    return {
        "raw_labels": judged.raw_labels,
        "msp": judged.msp,
        "raw_score": judged.raw_score,
        "raw_reliability": judged.raw_reliability,
        "accepted": replayed.accepted,
        "restored": replayed.restored,
        "final_labels": judged.final_labels(replayed.keep_restored),
        "kept_reliability": replayed.kept_reliability,
        "reliability": final_reliability(fitted, replayed),
    }


def _stacked(labels: IntArray, rows: Sequence[dict[str, Any]]) -> Answers:
    arrays = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    own = {"raw_labels": arrays.pop("raw_labels"), "msp": arrays.pop("msp")}
    gate = None
    if arrays:
        gate = GateAnswers(**{f.name: arrays[f.name] for f in fields(GateAnswers)})
    return Answers(labels=labels, gate=gate, **own)
