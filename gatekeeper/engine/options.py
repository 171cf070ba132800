"""How an engine behaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gatekeeper.engine.answers import FailurePolicy
from gatekeeper.engine.gears import DEFAULT_GEARS, Gear
from gatekeeper.engine.turns import Stage
from gatekeeper.errors import InputError


def _default_policies() -> dict[Stage, FailurePolicy]:
    return {Stage.DECIDE: FailurePolicy.ABSTAIN, Stage.RESTORE: FailurePolicy.ABSTAIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Bounds and policies.

    Attributes:
        max_waiting: Images that may wait for their first look, at least 1.
        max_restoring: Images that may wait for restoration, at least 1.
        max_bytes: Memory that waiting images may hold, for each of the two.
        batch: Largest batch of first looks, at least 1.
        restore_batch: Largest batch of restorations, at least 1.
        deadline_s: Time that a request has where it sets none, above 0.
        hang_after_s: A batch that takes longer counts as hung, above 0.
        max_restarts: Restarts in a row, with no batch between them, after which an engine is given
            up.
        policies: Per stage, what becomes of an image on which it failed.
        gears: See :class:`gatekeeper.engine.gears.GearBox`.

    Raises:
        InputError: a bound is too small, or a stage has no policy.
    """

    max_waiting: int = 256
    max_restoring: int = 128
    max_bytes: int = 1_000_000_000
    batch: int = 16
    restore_batch: int = 8
    deadline_s: float = 10.0
    hang_after_s: float = 30.0
    max_restarts: int = 5
    policies: Mapping[Stage, FailurePolicy] = field(default_factory=_default_policies)
    gears: tuple[Gear, ...] = DEFAULT_GEARS

    def __post_init__(self) -> None:
        """Refuse what no engine can work with."""
        names = ("max_waiting", "max_restoring", "max_bytes", "batch", "restore_batch")
        for name in names:
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("deadline_s", "hang_after_s"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, got {getattr(self, name)}")
        missing = set(Stage) - set(self.policies)
        if missing:
            raise InputError(f"expected a policy for every stage, got none for {sorted(missing)}")


class Observer(Protocol):
    """Who is told what an engine does; called from its threads, so it must be quick and safe."""

    def batch_done(self, stage: Stage, n: int, seconds: float) -> None:
        """A batch was computed."""
        ...

    def stage_failed(self, stage: Stage, error: Exception) -> None:
        """A stage failed on one image."""
        ...

    def refused(self, why: str) -> None:
        """A request was refused at the door."""
        ...

    def shifted(self, gear: Gear) -> None:
        """The gear of the moment."""
        ...

    def engine_lost(self, error: Exception) -> None:
        """The engine died or hung; a new one is started unless that happened too often."""
        ...


class Silent:
    """An observer that keeps nothing."""

    def batch_done(self, stage: Stage, n: int, seconds: float) -> None:
        """Nothing is kept."""

    def stage_failed(self, stage: Stage, error: Exception) -> None:
        """Nothing is kept."""

    def refused(self, why: str) -> None:
        """Nothing is kept."""

    def shifted(self, gear: Gear) -> None:
        """Nothing is kept."""

    def engine_lost(self, error: Exception) -> None:
        """Nothing is kept."""
