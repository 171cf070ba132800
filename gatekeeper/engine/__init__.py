"""Queues, batches, deadlines and failures between a service and the gatekeeper that decides."""

from __future__ import annotations

from gatekeeper.engine.answers import EngineAnswer, Failure, FailurePolicy, FailureReason, Mark
from gatekeeper.engine.engine import Engine
from gatekeeper.engine.gears import DEFAULT_GEARS, Gear, GearBox, parse_gears
from gatekeeper.engine.latency import LatencyModel
from gatekeeper.engine.options import EngineOptions, Observer
from gatekeeper.engine.problems import (
    DeadlineError,
    EngineDownError,
    EngineError,
    NotFiniteError,
    OverloadError,
    StageError,
)
from gatekeeper.engine.stages import (
    Doubted,
    GatekeeperStages,
    Judged,
    Stages,
    WholeStages,
    stages_of,
)
from gatekeeper.engine.state import State
from gatekeeper.engine.turns import Stage

__all__ = [
    "DEFAULT_GEARS",
    "DeadlineError",
    "Doubted",
    "Engine",
    "EngineAnswer",
    "EngineDownError",
    "EngineError",
    "EngineOptions",
    "Failure",
    "FailurePolicy",
    "FailureReason",
    "GatekeeperStages",
    "Gear",
    "GearBox",
    "Judged",
    "LatencyModel",
    "Mark",
    "NotFiniteError",
    "Observer",
    "OverloadError",
    "Stage",
    "StageError",
    "Stages",
    "State",
    "WholeStages",
    "parse_gears",
    "stages_of",
]
