"""Answers hold no number that is not one, and no field more or less than a decision has."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from gatekeeper.decision import Action, Attempt
from gatekeeper.service.schemas import AttemptBody, CertificateBody


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.001, 1.001])
def test_no_answer_states_an_impossible_reliability(value: float) -> None:
    with pytest.raises(ValidationError, match="reliability"):
        AttemptBody(restorer=None, label=0, class_name="a", reliability=value, action=Action.ACCEPT)
    with pytest.raises(ValidationError, match="target_risk"):
        CertificateBody(certified=True, target_risk=value, confidence_level=0.95)


def test_attempts_keep_every_field() -> None:
    assert set(AttemptBody.model_fields) == {*Attempt.__slots__, "class_name"}
    with pytest.raises(ValidationError, match="extra"):
        AttemptBody(
            restorer=None,
            label=0,
            class_name="a",
            reliability=0.5,
            action=Action.ACCEPT,
            extra=1,  # type: ignore[call-arg]
        )
