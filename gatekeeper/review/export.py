"""Labels as a table, each with what it may be used for and its inverse-probability weight."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from io import BytesIO, StringIO
from typing import Any

import pandas as pd

from gatekeeper.review.candidates import ACCEPTED
from gatekeeper.review.queue import Item, ReviewQueue

COLUMNS = (
    "decision_id",
    "kind",
    "label",
    "class_name",
    "answer",
    "answered_class",
    "reliability",
    "reason",
    "bundle",
    "probability",
    "weight",
    "may_certify",
    "reviewer",
    "labelled",
    "taken",
    "digest",
)
"""``weight`` is 1 ÷ ``probability``. ``may_certify`` is true of the random share of accepted
answers only: a certificate speaks of accepted answers, and labels of abstentions are no sample of
those; they may train, with their weights."""

_TYPES = {
    "label": "int64",
    "answer": "Int64",
    "reliability": "float64",
    "probability": "float64",
    "weight": "float64",
    "may_certify": "bool",
    "png": "object",
}
# What a spreadsheet would take for a formula if a cell began with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export_rows(review: ReviewQueue, class_names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The labelled images, oldest first, with :data:`COLUMNS`.

    Args:
        review: The queue.
        class_names: Length K; position = label. A label beyond them has "" as its name.
    """
    for item in review.all_items():
        if item.label is not None:
            yield _row(item, class_names)


def export_csv(review: ReviewQueue, class_names: Sequence[str]) -> bytes:
    """The table as CSV in UTF-8, without pixels."""
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in export_rows(review, class_names):
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue().encode()


def export_parquet(review: ReviewQueue, class_names: Sequence[str]) -> bytes:
    """The table as Parquet, with the pixels as PNG in the column ``png``."""
    rows = [
        {**row, "png": review.picture(row["decision_id"])}
        for row in export_rows(review, class_names)
    ]
    columns = (*COLUMNS, "png")
    table = pd.DataFrame(rows, columns=list(columns))
    out = BytesIO()
    table.astype({name: _TYPES.get(name, "string") for name in columns}).to_parquet(
        out, index=False
    )
    return out.getvalue()


def _row(item: Item, class_names: Sequence[str]) -> dict[str, Any]:
    values = (
        item.decision_id,
        item.kind,
        item.label,
        _name(item.label, class_names),
        item.answer,
        _name(item.answer, class_names),
        item.reliability,
        item.reason,
        item.bundle,
        item.probability,
        1.0 / item.probability,
        item.kind == ACCEPTED,
        item.reviewer,
        _time(item.labelled),
        _time(item.taken),
        item.digest,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _name(label: int | None, class_names: Sequence[str]) -> str:
    return class_names[label] if label is not None and label < len(class_names) else ""


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
