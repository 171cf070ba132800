"""Settings reach the engine."""

from __future__ import annotations

import pytest

from gatekeeper.engine import DEFAULT_GEARS, EngineOptions, FailurePolicy, Stage
from gatekeeper.errors import InputError
from gatekeeper.service.engine_options import engine_options
from gatekeeper.settings import Settings


def test_defaults_are_the_engines_own() -> None:
    assert engine_options(Settings()) == EngineOptions()
    assert engine_options(Settings()).gears == DEFAULT_GEARS


def test_every_one_is_handed_on() -> None:
    options = engine_options(
        Settings(
            max_waiting=1, max_restoring=2, max_batch=3, max_restore_batch=4, deadline_s=5.0,
            hang_after_s=6.0, on_decide_error="reject", on_restore_error="pass_flagged",
            gears="full:0:1 raw_only:0.5:0",
        )
    )  # fmt: skip
    assert (options.max_waiting, options.max_restoring) == (1, 2)
    assert (options.batch, options.restore_batch) == (3, 4)
    assert (options.deadline_s, options.hang_after_s) == (5.0, 6.0)
    assert options.policies == {
        Stage.DECIDE: FailurePolicy.REFUSE,
        Stage.RESTORE: FailurePolicy.PASS_FLAGGED,
    }
    assert [(gear.name, gear.load_from) for gear in options.gears] == [
        ("full", 0.0), ("raw_only", 0.5),
    ]  # fmt: skip


def test_a_table_that_cannot_be_meant() -> None:
    with pytest.raises(InputError, match="begin with the full one"):
        engine_options(Settings(gears="half:0:0.5"))
