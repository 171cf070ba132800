from __future__ import annotations

import pytest

from gatekeeper.batch import SCHEMA, Item
from gatekeeper.batch.deciding import finish, look_at
from gatekeeper.batch.decoding import decode_items
from gatekeeper.batch.references import FileReference
from gatekeeper.batch.rows import table_of


@pytest.fixture
def rows(stages, facts, folder):
    names = sorted(path.name for path in folder.iterdir())
    items = [Item(7 + i, n, FileReference(str(folder / n))) for i, n in enumerate(names)]
    from gatekeeper.images import DecodeLimits

    decoded = decode_items(items, (4, 4), DecodeLimits())
    outcomes = finish(stages, look_at(stages, decoded.pixels, batch=8), batch=8)
    table = table_of(items, decoded.received, outcomes, facts)
    assert table.schema.equals(SCHEMA)
    return table.to_pylist()


def test_one_row_per_image_in_order(rows):
    assert [row["position"] for row in rows] == [7, 8, 9, 10, 11, 12]
    assert [row["path"] for row in rows] == ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png"]
    assert [row["action"] for row in rows] == ["accept", "accept", None, None, "abstain", "accept"]
    assert {row["bundle"] for row in rows} == {"b" * 64}
    assert {row["gatekeeper"] for row in rows} == {"9.9"}


def test_before_and_after_restoration(rows):
    keys = (
        *("label", "class_name", "reliability", "label_before", "reliability_before"),
        *("restorer", "label_after", "reliability_after", "reason"),
    )
    assert [rows[0][key] for key in keys] == [
        1, "bright", 0.95, 1, 0.97, None, None, None, "GK100",
    ]  # fmt: skip
    assert [rows[1][key] for key in keys] == [
        0, "dark", 0.85, 0, 0.3, "exposure", 0, 0.9, "GK110",
    ]  # fmt: skip
    assert rows[1]["symptoms"] == ["under-exposed, mean about 0.2"]
    assert rows[0]["symptoms"] == []


def test_an_error_is_a_row_that_says_nothing_else(rows):
    assert (rows[3]["error"], rows[3]["decide_ms"]) == ("unsupported_format", None)
    assert rows[2]["error"] == "stage_failed"
    for row in (rows[2], rows[3]):
        silent = ("label", "reliability", "reason", "symptoms", "certified", "policy")
        assert [row[key] for key in silent] == [None] * 6
        assert row["error_text"].startswith("expected")
        assert row["sha256"] is not None
    assert (rows[2]["width"], rows[3]["width"]) == (4, None)


def test_what_failed_to_be_restored_says_so(rows):
    assert rows[4]["degraded"] == ["restore_failed"]
    assert rows[4]["reason"] == "GK240"
    assert rows[4]["certified"] is False
    assert rows[4]["label"] is None
