"""The estimate of accuracy without labels, fitted on the rows that the calibrators learned from."""

from __future__ import annotations

import numpy as np

from gatekeeper.evidence import Plan
from gatekeeper.monitoring import AccuracyEstimator
from gatekeeper.types import BoolArray, FloatArray


def accuracy_estimator(
    plan: Plan, reliability: FloatArray, right: BoolArray, accepted: BoolArray
) -> AccuracyEstimator | None:
    """Learn from each condition at each severity; a corruption's severities are left out together.

    The calibrators have seen these rows, too, but as one pool: that they err from condition to
    condition is what is learned here.

    Args:
        plan: Which image is under which condition; N rows.
        reliability: Final reliability, shape (N,), in [0, 1].
        right: Whether the kept answer is right, shape (N,).
        accepted: Whether the gate accepts it, shape (N,).

    Returns:
        The estimator; None where the rows show fewer than two kinds of condition. It estimates the
        risk of accepted answers only where those show two kinds as well.
    """
    names = np.where(plan.corruptions == "", "clean", plan.corruptions)
    if len(np.unique(names)) < 2:
        return None
    bands = np.round(np.asarray(plan.severities, dtype=np.float64)).astype(int)
    cells = np.array([f"{name} {band}" for name, band in zip(names, bands, strict=True)])
    enough = len(np.unique(names[accepted])) >= 2
    return AccuracyEstimator().fit(
        reliability, right, cells=cells, groups=names, accepted=accepted if enough else None
    )
