"""A fitted gate, and the same as data on disk."""

from __future__ import annotations

from gatekeeper.bundle.files import (
    EXTENDED_VERSION,
    GATE_FILE,
    SCHEMA_VERSION,
    load_bundle,
    save_bundle,
)
from gatekeeper.bundle.fitted import (
    ClassifierSpec,
    FittedGate,
    SecondOpinion,
    log_odds,
    raw_context,
    restored_context,
    restored_reliability,
)

__all__ = [
    "EXTENDED_VERSION",
    "GATE_FILE",
    "SCHEMA_VERSION",
    "ClassifierSpec",
    "FittedGate",
    "SecondOpinion",
    "load_bundle",
    "log_odds",
    "raw_context",
    "restored_context",
    "restored_reliability",
    "save_bundle",
]
