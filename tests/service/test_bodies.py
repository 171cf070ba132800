"""Answers of the engine as bodies."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.decision import Action
from gatekeeper.engine import EngineAnswer, Failure, FailureReason
from gatekeeper.errors import BundleError
from gatekeeper.service.bodies import describe_loaded
from gatekeeper.service.schemas import ImageBody

IMAGE = ImageBody(width=1, height=2, sha256="a" * 64)


def test_a_decision(fake: Any) -> None:
    answer = EngineAnswer(outcome=fake.judge(1.0), gear="half", degraded=("x",))
    body = describe_loaded(fake).body(answer, IMAGE, 0.0123456)
    assert (body.class_name, body.reliability, body.duration_ms) == ("bag", 0.96, 12.346)
    assert (body.gear, body.degraded, body.image) == ("half", ["x"], IMAGE)


def test_a_passed_answer_claims_nothing(fake: Any) -> None:
    failure = Failure(action=Action.ACCEPT, reason=FailureReason.PASSED, label=0)
    answer = EngineAnswer(outcome=failure, gear="full", degraded=("decide_failed",))
    body = describe_loaded(fake).body(answer, IMAGE, 0.0)
    assert (body.action, body.label, body.class_name) == ("accept", 0, "shirt")
    assert (body.certified, body.reliability, body.attempts) == (False, 0.0, [])
    assert body.reason == "GK310"
    assert "passed on unjudged" in body.reason_text


def test_a_certificate_without_figures(fake: Any) -> None:
    del fake.certificate["confidence_level"]
    with pytest.raises(BundleError, match="got none of confidence_level"):
        describe_loaded(fake)
