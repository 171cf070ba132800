from __future__ import annotations

import pytest

from gatekeeper.client import ServiceError, UnreachableError
from gatekeeper.client.answers import answer_of, item_of
from gatekeeper.errors import GatekeeperError

BODY = {
    "action": "accept", "label": 1, "class_name": "cat", "reliability": 0.9, "reason": "GK110",
    "reason_text": "t", "symptoms": ["noise"], "certified": False, "degraded": ["restore_failed"],
    "calibration_id": "b", "attempts": [
        {"restorer": None, "label": 0, "class_name": "dog", "reliability": 0.2,
         "action": "restore"},
        {"restorer": "median", "label": 1, "class_name": "cat", "reliability": 0.9,
         "action": "accept"},
    ],
}  # fmt: skip


def test_every_field():
    answer = answer_of({**BODY, "decision_id": "d"}, "r")
    assert answer.attempts[1].restorer == "median"
    assert answer.attempts[0].action.value == "restore"
    assert (answer.degraded, answer.certified) == (("restore_failed",), False)
    assert (answer.decision_id, answer.request_id) == ("d", "r")
    assert answer_of(BODY, "r").decision_id == ""


def test_a_code_that_this_version_does_not_know_is_passed_on():
    assert answer_of({**BODY, "reason": "GK999"}, "").reason == "GK999"


def test_an_item_is_an_answer_or_an_error():
    assert item_of({"decision": BODY, "error": None}, "r") == answer_of(BODY, "r")
    error = {"code": "undecodable_image", "message": "m", "reason": "empty", "request_id": "r"}
    refused = item_of({"error": error}, "r")
    assert isinstance(refused, ServiceError)
    assert (refused.reason, refused.code, str(refused)) == ("empty", "undecodable_image", "m")
    with pytest.raises(KeyError):
        item_of({}, "r")


def test_errors_are_of_the_house():
    assert isinstance(UnreachableError("m"), GatekeeperError)
    assert UnreachableError("m").status == 0
