"""Options that no engine can work with are refused."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engine import EngineOptions, FailurePolicy, Stage
from gatekeeper.errors import InputError


@pytest.mark.parametrize(
    "given",
    [{"max_waiting": 0}, {"batch": 0}, {"restore_batch": -1}, {"max_bytes": 0},
     {"deadline_s": 0.0}, {"hang_after_s": float("nan")},
     {"policies": {Stage.DECIDE: FailurePolicy.REFUSE}}],
)  # fmt: skip
def test_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        EngineOptions(**given)


def test_failures_abstain_unless_told_otherwise() -> None:
    assert set(EngineOptions().policies.values()) == {FailurePolicy.ABSTAIN}
