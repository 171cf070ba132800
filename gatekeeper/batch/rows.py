"""One row per image: the columns of the output, and how a chunk becomes a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatekeeper import __version__
from gatekeeper.batch.arrow import pa
from gatekeeper.batch.deciding import Outcome
from gatekeeper.batch.decoding import Received
from gatekeeper.batch.sources import Item
from gatekeeper.decision import Decision
from gatekeeper.engine import EngineAnswer, StageError
from gatekeeper.pipeline import Gatekeeper

STAGE_FAILED = "stage_failed"
"""Error code of an image on which a part of the gate failed."""

TIMINGS = ("decode_ms", "decide_ms", "restore_ms")
"""Columns that differ from run to run; all others are the same in every run."""

SCHEMA = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("action", pa.string()),
        ("label", pa.int32()),
        ("class_name", pa.string()),
        ("reliability", pa.float64()),
        ("label_before", pa.int32()),
        ("reliability_before", pa.float64()),
        ("label_after", pa.int32()),
        ("reliability_after", pa.float64()),
        ("restorer", pa.string()),
        ("reason", pa.string()),
        ("reason_text", pa.string()),
        ("symptoms", pa.list_(pa.string())),
        ("policy", pa.string()),
        ("certified", pa.bool_()),
        ("degraded", pa.list_(pa.string())),
        ("error", pa.string()),
        ("error_text", pa.string()),
        ("decode_ms", pa.float64()),
        ("decide_ms", pa.float64()),
        ("restore_ms", pa.float64()),
        pa.field("gatekeeper", pa.string(), nullable=False),
        pa.field("bundle", pa.string(), nullable=False),
        pa.field("classifier", pa.string(), nullable=False),
    ]
)
"""Columns of the output.

``label``, ``class_name``: of accepted answers only. ``reliability``: calibrated P(correct) of the
kept answer, in [0, 1]. ``label_before``, ``reliability_before``: of the image as received;
``…_after``: of the last restored image. ``error``: a code of the decoder, ``unreadable`` or
``stage_failed``; where it is set, everything that the gate would have said is null.
``decide_ms`` and ``restore_ms``: an image's share of the time of its batch.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is the same for every row.

    Attributes:
        class_names: Length K; position = label.
        image_size: Height and width that images are brought to.
        gatekeeper: Version of this software.
        bundle: Identity of the bundle.
        classifier: Identity of the classifier.
        certificate: What was certified, or why it could not be.
    """

    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    gatekeeper: str
    bundle: str
    classifier: str
    certificate: Mapping[str, Any]


def facts_of(gatekeeper: Gatekeeper) -> Facts:
    """What is the same for every row that this gatekeeper decides."""
    return Facts(
        class_names=gatekeeper.class_names,
        image_size=gatekeeper.image_size,
        gatekeeper=__version__,
        bundle=gatekeeper.calibration_id,
        classifier=gatekeeper.model_id,
        certificate=gatekeeper.certificate,
    )


def table_of(
    items: Sequence[Item],
    received: Sequence[Received],
    outcomes: Sequence[Outcome],
    facts: Facts,
) -> pa.Table:
    """The rows of a chunk.

    Args:
        items: All of the chunk.
        received: One each.
        outcomes: One for each that was received without an error, in order.
        facts: The same for every row.

    Returns:
        One row per item, in order, of :data:`SCHEMA`.
    """
    versions = {
        "gatekeeper": facts.gatekeeper,
        "bundle": facts.bundle,
        "classifier": facts.classifier,
    }
    decided = iter(outcomes)
    rows = []
    for item, found in zip(items, received, strict=True):
        row: dict[str, Any] = {
            "position": item.position,
            "path": item.place,
            "sha256": found.sha256,
            "width": found.width,
            "height": found.height,
            "decode_ms": found.decode_ms,
            **versions,
        }
        if found.error is not None:
            row["error"], row["error_text"] = found.error
        else:
            row |= _outcome_row(next(decided), facts.class_names)
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _outcome_row(outcome: Outcome, class_names: Sequence[str]) -> dict[str, Any]:
    timings = {"decide_ms": outcome.decide_ms, "restore_ms": outcome.restore_ms}
    if isinstance(outcome.result, StageError):
        return {**timings, "error": STAGE_FAILED, "error_text": str(outcome.result)}
    return {**timings, **_answer_row(outcome.result, class_names)}


def _answer_row(answer: EngineAnswer, class_names: Sequence[str]) -> dict[str, Any]:
    decision = answer.outcome
    if not isinstance(decision, Decision):
        raise TypeError(f"expected a decision, got {type(decision).__name__}: report this bug")
    before = decision.attempts[0]
    row: dict[str, Any] = {
        "action": decision.action.value,
        "label": decision.label,
        "class_name": None if decision.label is None else class_names[decision.label],
        "reliability": decision.reliability,
        "label_before": before.label,
        "reliability_before": before.reliability,
        "reason": decision.reason.value,
        "reason_text": decision.reason.text,
        "symptoms": list(decision.symptoms),
        "policy": decision.policy,
        "certified": decision.certified,
        "degraded": list(answer.degraded),
    }
    if len(decision.attempts) > 1:
        after = decision.attempts[-1]
        row |= {
            "restorer": after.restorer,
            "label_after": after.label,
            "reliability_after": after.reliability,
        }
    return row
