"""What a certificate says of the policy and of the traffic that it speaks about."""

from __future__ import annotations

from typing import Any

from gatekeeper.gate import Gate
from gatekeeper.recipe import Recipe
from gatekeeper.risk_control import Certification


def policy_said(
    recipe: Recipe, gate: Gate, verdict: Certification, n_certify: int
) -> dict[str, Any]:
    """The verdict, the thresholds and the conditions, JSON-ready.

    Args:
        recipe: What was asked for.
        gate: What was certified, or is left where nothing was.
        verdict: On *certify*.
        n_certify: Images there.
    """
    policy, conditions = recipe.policy, recipe.conditions
    return {
        "certified": verdict.certified,
        "reason": verdict.reason,
        "target_risk": policy.target_risk,
        "confidence_level": policy.confidence_level,
        "procedure": "fixed-sequence learn-then-test, exact binomial tail",
        "policy": "restore",
        "accept_raw_at": gate.accept_raw_at,
        "accept_restored_at": gate.accept_restored_at,
        "switch_margin": gate.switch_margin,
        "n_certify": n_certify,
        "n_accepted": verdict.n_accepted,
        "n_wrong": verdict.n_wrong,
        "tail_probability": verdict.tail,
        "upper_bound": verdict.upper_bound,
        "certified_coverage": verdict.n_accepted / n_certify if verdict.certified else 0.0,
        "seen": list(conditions.seen),
        "held_out": list(conditions.held_out),
        "clean_share": conditions.clean_share,
        "doubt_below": policy.doubt_below,
        "conditions": [
            f"{conditions.clean_share:.0%} of the images clean",
            f"the others under one of {', '.join(conditions.seen)}, as often as each other",
            "severities 1 to 5 evenly, each image once",
        ],
        "not_covered": "any other traffic, such as " + ", ".join(conditions.held_out)
        if conditions.held_out
        else "any other traffic",
    }
