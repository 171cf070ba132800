"""Recipe → fitted gate."""

from __future__ import annotations

from gatekeeper.fitting.arbitration import LEAST_ROWS, Arbitration, fit_restored_calibrators
from gatekeeper.fitting.certificate import policy_said
from gatekeeper.fitting.costs import declared_costs, look_cost, rounded
from gatekeeper.fitting.fitter import FitResult, Fitter
from gatekeeper.fitting.limits import symptom_limits, too_few_to_learn
from gatekeeper.fitting.policy import (
    certify,
    certify_groups,
    choose_margin,
    hindsight_coverage,
    path_through,
)

__all__ = [
    "LEAST_ROWS",
    "Arbitration",
    "FitResult",
    "Fitter",
    "certify",
    "certify_groups",
    "choose_margin",
    "declared_costs",
    "fit_restored_calibrators",
    "hindsight_coverage",
    "look_cost",
    "path_through",
    "policy_said",
    "rounded",
    "symptom_limits",
    "too_few_to_learn",
]
