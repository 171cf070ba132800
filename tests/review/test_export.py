"""The table of labels: weights, what may certify, both formats."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import BytesIO, StringIO

import pytest
from pyarrow import parquet

from gatekeeper.review import COLUMNS, Candidate, ReviewQueue, export_csv, export_parquet

NAMES = ("shirt", "bag", "boot")


@pytest.fixture
def labelled(queue: ReviewQueue, make: Callable[..., Candidate], clock) -> ReviewQueue:
    queue.take(make(1, kind="accepted", probability=0.02, reliability=0.9))
    clock.now += 1
    queue.take(make(2, decision_id="=cmd()", answer=None))
    queue.take(make(3))
    queue.label("accepted-1", 2, reviewer="ann")
    queue.label("=cmd()", 0)
    return queue


def test_csv(labelled: ReviewQueue) -> None:
    rows = list(csv.DictReader(StringIO(export_csv(labelled, NAMES).decode())))
    assert tuple(rows[0]) == COLUMNS
    assert [row["decision_id"] for row in rows] == ["accepted-1", "'=cmd()"]  # and no unlabelled
    first, second = rows
    assert (first["class_name"], first["answered_class"], first["reviewer"]) == (
        "boot", "bag", "ann",
    )  # fmt: skip
    assert float(first["weight"]) == pytest.approx(50)
    assert (first["may_certify"], second["may_certify"]) == ("True", "False")
    assert (second["answer"], second["answered_class"]) == ("", "")
    assert first["taken"] == "1970-01-12T13:46:40+00:00"


def test_parquet_carries_the_pixels(labelled: ReviewQueue, make: Callable[..., Candidate]) -> None:
    table = parquet.read_table(BytesIO(export_parquet(labelled, NAMES)))
    assert table.column_names == [*COLUMNS, "png"]
    rows = table.to_pylist()
    assert rows[0]["png"] == make(1).png()
    assert (rows[0]["weight"], rows[1]["weight"]) == (50.0, 1.0)
    assert (rows[1]["decision_id"], rows[1]["answer"]) == ("=cmd()", None)


def test_an_empty_queue_is_a_table_with_no_rows(queue: ReviewQueue) -> None:
    assert export_csv(queue, NAMES).decode() == ",".join(COLUMNS) + "\n"
    table = parquet.read_table(BytesIO(export_parquet(queue, NAMES)))
    assert (table.num_rows, table.schema.field("weight").type) == (0, "double")


def test_a_label_beyond_the_names_has_none(
    queue: ReviewQueue, make: Callable[..., Candidate]
) -> None:
    queue.take(make(1))
    queue.label("abstained-1", 7)
    [row] = csv.DictReader(StringIO(export_csv(queue, NAMES).decode()))
    assert (row["label"], row["class_name"]) == ("7", "")
