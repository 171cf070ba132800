"""Which restorer fits an image, if any, and which are tried where several fit."""

from __future__ import annotations

from gatekeeper.protocols import Evidence
from gatekeeper.routing.arbiter import Arbiter, Budget, Measured, arbiter_inputs
from gatekeeper.routing.router import CLEAN, NoiseTypeClassifier, Router, confusion_counts
from gatekeeper.types import StrArray

__all__ = [
    "CLEAN",
    "Arbiter",
    "Budget",
    "Measured",
    "NoiseTypeClassifier",
    "Router",
    "arbiter_inputs",
    "confusion_counts",
    "planned_attempts",
]


def planned_attempts(router: Router, arbiter: Arbiter | None, first: Evidence) -> StrArray:
    """The restorers to try on each image, in order, then "".

    Without an arbiter it is the one that the router names.

    Args:
        router: Says which restorers fit.
        arbiter: Says which of them are worth their cost.
        first: First looks, B rows.

    Returns:
        Names, shape (B, A), where A is the largest number of attempts.
    """
    if arbiter is None:
        return router.route(first.signals)[:, None]
    allowed = router.allowed(first.signals)
    columns = {name: allowed[:, at] for at, name in enumerate(router.restorers)}
    return arbiter.plan(first, columns)
