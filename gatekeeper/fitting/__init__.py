"""Recipe → fitted gate."""

from __future__ import annotations

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
    "FitResult",
    "Fitter",
    "certify",
    "certify_groups",
    "choose_margin",
    "hindsight_coverage",
    "path_through",
    "symptom_limits",
    "too_few_to_learn",
]
