"""A fitted gate on judged traffic, and any classifier under corruptions and severities."""

from __future__ import annotations

from gatekeeper.evaluation.streams import (
    Example,
    Streams,
    clean_harm,
    conditions_flags,
    coverage_at_risk,
    curves,
    diagrams,
    examples,
    family_of,
    final_correct,
    final_reliability,
    judge_streams,
    policy_curve,
    replay,
    summarise,
    telling_rows,
)

__all__ = [
    "Example",
    "Streams",
    "clean_harm",
    "conditions_flags",
    "coverage_at_risk",
    "curves",
    "diagrams",
    "examples",
    "family_of",
    "final_correct",
    "final_reliability",
    "judge_streams",
    "policy_curve",
    "replay",
    "summarise",
    "telling_rows",
]
