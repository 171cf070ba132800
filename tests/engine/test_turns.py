"""First looks first, restorations never starved."""

from __future__ import annotations

import pytest

from gatekeeper.engine import Stage
from gatekeeper.engine.turns import next_stage


@pytest.mark.parametrize(
    ("first", "second", "row", "stage"),
    [
        (0, 0, 0, None),
        (1, 0, 99, Stage.DECIDE),
        (0, 1, 0, Stage.RESTORE),
        (1, 1, 0, Stage.DECIDE),
        (1, 1, 3, Stage.DECIDE),
        (1, 1, 4, Stage.RESTORE),
    ],
)
def test_turns(first: int, second: int, row: int, stage: Stage | None) -> None:
    assert next_stage(first=first, second=second, firsts_in_a_row=row) is stage
