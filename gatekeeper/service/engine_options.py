"""What the settings say about the engine."""

from __future__ import annotations

from gatekeeper.engine import EngineOptions, FailurePolicy, Stage, parse_gears
from gatekeeper.settings import Settings


def engine_options(settings: Settings) -> EngineOptions:
    """Bounds, policies and gears of the engine.

    Raises:
        InputError: the table of gears cannot be meant.
    """
    return EngineOptions(
        max_waiting=settings.max_waiting,
        max_restoring=settings.max_restoring,
        batch=settings.max_batch,
        restore_batch=settings.max_restore_batch,
        deadline_s=settings.deadline_s,
        hang_after_s=settings.hang_after_s,
        policies={
            Stage.DECIDE: FailurePolicy(settings.on_decide_error),
            Stage.RESTORE: FailurePolicy(settings.on_restore_error),
        },
        gears=parse_gears(settings.gears),
    )
