"""A finished evaluation on disk: Parquet for tools, JSON for people and pipelines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gatekeeper.evaluation.answers import Answers, Subject
from gatekeeper.evaluation.requirements import Judgement
from gatekeeper.evaluation.robustness import Evaluation, as_columns, images_digest, raw_errors
from gatekeeper.metrics import exact_proportion_interval, exact_upper_bound

SCHEMA_VERSION = 1
RECORD_FILE, FIGURES_FILE, ANSWERS_FILE = "evaluation.json", "figures.parquet", "answers.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """How an evaluation was run; nothing of it changes a figure.

    Attributes:
        command: That makes it again.
        date: ISO 8601.
        seconds: That it took.
        versions: Package -> version.
    """

    command: str
    date: str
    seconds: float
    versions: Mapping[str, str]


def verdict_of(judgements: Sequence[Judgement]) -> str:
    """``PASS``, ``FAIL``, or ``NOT JUDGED`` where nothing was required."""
    if not judgements:
        return "NOT JUDGED"
    return "PASS" if all(judgement.met for judgement in judgements) else "FAIL"


def record(
    evaluation: Evaluation, judgements: Sequence[Judgement], facts: RunFacts
) -> dict[str, Any]:
    """The content of ``evaluation.json``; figures of single conditions are in Parquet alone.

    Args:
        evaluation: What was measured.
        judgements: What was required.
        facts: How it was run.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict_of(judgements),
        "requirements": [asdict(judgement) for judgement in judgements],
        "candidate": evaluation.subjects[0].name,
        "data": {
            "name": evaluation.data.name,
            "source": evaluation.data.source,
            "licence": evaluation.data.licence,
            "image_size": list(evaluation.data.image_size),
            "n_images": len(evaluation.judged.positions),
            "which": evaluation.judged.which,
            "digest": images_digest(evaluation.digests),
        },
        "conditions": [list(condition) for condition in evaluation.grid.conditions],
        "held_out": None if evaluation.held_out is None else list(evaluation.held_out),
        "declared": None
        if evaluation.mix is None
        else {
            "corruptions": list(evaluation.mix.corruptions),
            "clean_share": evaluation.mix.clean_share,
            "evaluated": evaluation.stream is not None,
        },
        "target_risk": evaluation.target_risk,
        "seed": evaluation.settings.seed,
        "n_draws": evaluation.settings.n_draws,
        "reference": evaluation.reference,
        "models": [_model(evaluation, subject) for subject in evaluation.subjects],
        "figures": [asdict(row) for row in evaluation.figures if row.scope != "condition"],
        "comparisons": [asdict(comparison) for comparison in evaluation.comparisons],
        "run": asdict(facts),
    }


def _model(evaluation: Evaluation, subject: Subject) -> dict[str, Any]:
    answers = evaluation.answers[subject.name]
    return {
        "name": subject.name,
        "kind": "classifier" if subject.fitted is None else "gate",
        "source": subject.source,
        "model_id": subject.classifier.model_id,
        "digest": subject.classifier.digest,
        "bundle": subject.identity or None,
        "run_id": subject.run_id or None,
        "raw_errors": raw_errors(answers),
        "certificate": certificate_check(evaluation, subject),
    }


def certificate_check(evaluation: Evaluation, subject: Subject) -> dict[str, Any] | None:
    """What a certificate promises of the declared traffic against what this stream showed.

    Args:
        evaluation: What was measured.
        subject: One of its subjects.

    Returns:
        None for a classifier alone. ``outcome`` is ``kept`` (the upper bound of the realised risk
        is at most the target), ``not contradicted`` (the target lies within the exact interval),
        ``exceeded`` (even the lower end is above it), ``nothing accepted``, ``not certified`` or
        ``not tested`` (the declared traffic was not evaluated).
    """
    if subject.fitted is None:
        return None
    certificate = subject.fitted.certificate
    target, level = float(certificate["target_risk"]), float(certificate["confidence_level"])
    found: dict[str, Any] = {
        "certified": bool(certificate["certified"]),
        "target_risk": target,
        "confidence_level": level,
        "certified_coverage": certificate.get("certified_coverage"),
        "conditions": list(certificate.get("conditions") or ()),
        "not_covered": certificate.get("not_covered"),
    }
    answers = evaluation.answers[subject.name]
    if evaluation.stream is None or answers.gate is None:
        return {**found, "outcome": "not tested"}
    images = np.arange(len(evaluation.stream))
    accepted = answers.gate.accepted[evaluation.stream, images]
    wrong = ~answers.final_correct[evaluation.stream, images] & accepted
    n_accepted, n_wrong = int(accepted.sum()), int(wrong.sum())
    found |= {"n_accepted": n_accepted, "n_wrong": n_wrong, "coverage": float(accepted.mean())}
    if not n_accepted:
        return {**found, "outcome": "nothing accepted"}
    low, high = exact_proportion_interval(n_wrong, n_accepted)
    upper = exact_upper_bound(n_wrong, n_accepted, level)
    found |= {"risk": n_wrong / n_accepted, "low": low, "high": high, "upper_bound": upper}
    outcome = "not contradicted"
    if upper <= target:
        outcome = "kept"
    elif low > target:
        outcome = "exceeded"
    return {**found, "outcome": outcome if certificate["certified"] else "not certified"}


def write_results(
    folder: Path, evaluation: Evaluation, content: Mapping[str, Any]
) -> tuple[Path, ...]:
    """Write the record, the tidy table and all answers.

    Args:
        folder: Made if it is not there; files of those names are replaced.
        evaluation: What was measured.
        content: As from :func:`record`.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / name for name in (RECORD_FILE, FIGURES_FILE, ANSWERS_FILE))
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    paths[0].write_text(text + "\n", encoding="utf-8")
    figures = pd.DataFrame(as_columns(evaluation.figures))
    numbers = ["value", "low", "high", "floor", "floor_p95"]
    figures[numbers] = figures[numbers].astype("float64")
    figures.to_parquet(paths[1], index=False)
    frames = [
        _answers_frame(evaluation, subject.name, evaluation.answers[subject.name])
        for subject in evaluation.subjects
    ]
    pd.concat(frames, ignore_index=True).to_parquet(paths[2], index=False)
    return paths


def _answers_frame(evaluation: Evaluation, name: str, answers: Answers) -> Any:  # noqa: ANN401
    """One row per image and condition, images fastest."""
    n_images, conditions = len(answers.labels), evaluation.grid.conditions
    columns: dict[str, Any] = {
        "model": np.full(n_images * len(conditions), name),
        "image": np.tile(evaluation.digests, len(conditions)),
        "corruption": np.repeat([corruption for corruption, _ in conditions], n_images),
        "severity": np.repeat([severity for _, severity in conditions], n_images).astype(np.int8),
        "label": np.tile(answers.labels, len(conditions)).astype(np.int32),
        "raw_label": answers.raw_labels.ravel().astype(np.int32),
        "msp": answers.msp.ravel(),
    }
    if answers.gate is not None:
        gate = answers.gate
        columns |= {
            "raw_reliability": gate.raw_reliability.ravel(),
            "accepted": pd.array(gate.accepted.ravel(), dtype="boolean"),
            "restored": pd.array(gate.restored.ravel(), dtype="boolean"),
            "final_label": pd.array(gate.final_labels.ravel(), dtype="Int32"),
            "reliability": gate.reliability.ravel(),
        }
    return pd.DataFrame(columns)
