from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from gatekeeper.batch import SCHEMA
from gatekeeper.batch.summary import Tally

VERSIONS = {"gatekeeper": "9.9", "bundle": "b" * 64, "classifier": "fake"}
ROWS = [
    {"action": "accept", "class_name": "dark", "reliability": 0.96, "reason": "GK100",
     "symptoms": [], "degraded": [], "decode_ms": 1.0, "decide_ms": 2.0, "policy": "restore"},
    {"action": "accept", "class_name": "dark", "reliability": 1.0, "reason": "GK110",
     "restorer": "median", "symptoms": ["noise, sigma about 0.1", "dark"], "degraded": [],
     "decode_ms": 1.0, "decide_ms": 2.0, "restore_ms": 500.0, "policy": "restore"},
    {"action": "abstain", "reliability": 0.0, "reason": "GK240", "restorer": None,
     "symptoms": ["noise, sigma about 0.3"], "degraded": ["restore_failed"], "decode_ms": 1.0,
     "decide_ms": 2.0, "policy": "restore@restore_failed"},
    {"error": "truncated", "error_text": "expected …", "decode_ms": 1.0},
]  # fmt: skip


def table(rows):
    body = [{"position": i, "path": f"{i}.png", **VERSIONS, **row} for i, row in enumerate(rows)]
    return pa.Table.from_pylist(body, schema=SCHEMA)


def test_counts_and_shares(facts):
    tally = Tally(facts)
    tally.add(table(ROWS))
    body = tally.to_json()
    counts = {key: value for key, value in body.items() if key.startswith("n_")}
    assert counts == {
        "n_images": 4,
        "n_decided": 3,
        "n_accepted": 2,
        "n_abstained": 1,
        "n_restored": 1,
        "n_accepted_after_restoration": 1,
        "n_errors": 1,
    }
    assert body["failure_rate"] == 0.25
    assert body["coverage"] == pytest.approx(2 / 3)
    assert body["expected_accuracy"] == pytest.approx(0.98)
    assert body["symptoms"] == {"noise": 2, "dark": 1}
    assert body["degraded"] == {"restore_failed": 1}
    assert body["errors"] == {"truncated": 1}
    assert body["accepted_classes"] == {"dark": 2, "bright": 0}
    assert body["stage_seconds"]["restore_ms"] == pytest.approx(0.5)
    assert body["error_examples"] == [
        {"path": "3.png", "error": "truncated", "error_text": "expected …"}
    ]


@pytest.mark.parametrize(
    ("target_risk", "certified", "below"),
    [(0.02, True, False), (0.0199, True, True), (0.0199, False, False)],
)
def test_answers_that_look_worse_than_certified(facts, target_risk, certified, below):
    # Their mean reliability is 0.98.
    certificate = {**facts.certificate, "target_risk": target_risk, "certified": certified}
    tally = Tally(replace(facts, certificate=certificate))
    tally.add(table(ROWS))
    assert tally.to_json()["below_certificate"] is below


def test_the_histogram_has_closed_ends(facts):
    tally = Tally(facts)
    tally.add(table(ROWS))
    histogram = tally.to_json()["reliability_histogram"]
    # 0.96 and 1.0 share the last of twenty bins, 0.0 is in the first.
    assert (histogram[0], histogram[-1], sum(histogram)) == (1, 2, 3)


def test_parts_add_up(facts):
    whole, parts = Tally(facts), Tally(facts)
    whole.add(table(ROWS))
    for row in ROWS:
        parts.add(table([row]))
    expected = whole.to_json()
    expected["error_examples"][0]["path"] = "0.png"
    assert parts.to_json() == expected


def test_nothing_and_nothing_but_errors(facts):
    tally = Tally(facts)
    assert tally.failure_rate == 0.0
    assert tally.to_json()["coverage"] is None
    tally.add(table([ROWS[3]] * 30))
    body = tally.to_json()
    assert (body["failure_rate"], body["coverage"], body["expected_accuracy"]) == (1.0, None, None)
    assert len(body["error_examples"]) == 20
