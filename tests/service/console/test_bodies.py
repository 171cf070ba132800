"""What a trial may ask for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gatekeeper.service.console.bodies import TrialRequest


def test_one_image_and_a_severity_only_with_a_corruption() -> None:
    assert TrialRequest(sample=0).severity is None
    assert TrialRequest(image="AA==", corruption="dark", severity=5).severity == 5
    for wrong in (
        {},
        {"sample": 0, "image": "AA=="},
        {"sample": 0, "severity": 3},
        {"sample": 0, "corruption": "dark", "severity": 6},
    ):
        with pytest.raises(ValidationError):
            TrialRequest(**wrong)
