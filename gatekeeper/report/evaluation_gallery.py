"""Images of an evaluation that are worth looking at: worst accepted errors and best rescues."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from gatekeeper.evaluation import Answers, Evaluation, Subject, decided
from gatekeeper.evidence import degrade
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.report.content import GalleryItem
from gatekeeper.types import BoolArray, FloatArray, IntArray

_NO_GATE = "Nothing gates this classifier: every answer is used."


def gallery_of(evaluation: Evaluation, *, per_kind: int = 6) -> list[GalleryItem]:
    """The candidate's most confident accepted errors, then the rescues it was surest of.

    Args:
        evaluation: A finished evaluation; the images are made anew from its data.
        per_kind: Images of each kind at most; every image and condition once per kind.
    """
    subject = evaluation.subjects[0]
    answers = evaluation.answers[subject.name]
    wrong = ~answers.final_correct
    if answers.gate is None:
        chosen = [(_top(answers.msp, wrong, per_kind), "An error that the classifier is sure of.")]
    else:
        gate = answers.gate
        rescued = gate.accepted & answers.final_correct & ~answers.raw_correct
        chosen = [
            (_top(gate.reliability, gate.accepted & wrong, per_kind), "Accepted, and wrong."),
            (
                _top(gate.reliability, rescued, per_kind),
                "Restoration turned a wrong answer into a right one.",
            ),
        ]
    return [
        _item(evaluation, subject, answers, int(condition), int(image), verdict)
        for cells, verdict in chosen
        for condition, image in cells
    ]


def _top(reliability: FloatArray, among: BoolArray, n: int) -> IntArray:
    """(condition, image) of the highest numbers, each image and condition once, shape (n', 2)."""
    cells = np.argwhere(among)[np.argsort(-reliability[among], kind="stable")]
    kept: list[IntArray] = []
    for condition, image in cells:
        if len(kept) < n and all(condition != c and image != i for c, i in kept):
            kept.append(np.array([condition, image]))
    return np.array(kept, dtype=np.int64).reshape(-1, 2)


def _item(
    evaluation: Evaluation,
    subject: Subject,
    answers: Answers,
    condition: int,
    image: int,
    verdict: str,
) -> GalleryItem:
    positions = evaluation.judged.positions[[image]]
    plan = evaluation.grid.plan(
        evaluation.data, positions, condition, seed=evaluation.settings.seed
    )
    received = degrade(evaluation.data.batch(positions), plan)
    name, severity = evaluation.grid.conditions[condition]
    names = subject.classifier.class_names
    restored = None
    if subject.fitted is None:
        label = int(answers.raw_labels[condition, image])
        decision = _plain(names[label], float(answers.msp[condition, image]))
    else:
        ((made, restored),) = decided(Gatekeeper(subject.fitted, subject.identity), received)
        decision = made.to_json(names)
    return GalleryItem(
        corruption=name or None,
        severity=severity or None,
        truth=names[int(answers.labels[image])],
        original=_pixels(received[0]),
        restored=restored,
        decision=decision,
        verdict=verdict,
    )


def _plain(answer: str, msp: float) -> dict[str, Any]:
    """An answer that nothing gates, in the form of a decision."""
    return {
        "action": "accept",
        "reason_text": _NO_GATE,
        "class_name": answer,
        "reliability": msp,
        "attempts": [{"restorer": None, "class_name": answer, "reliability": msp}],
    }


def _pixels(image: Tensor) -> IntArray:
    return np.asarray((image * 255).round().byte().permute(1, 2, 0).cpu().numpy())
