"""What "ours" means in the benchmarks: the predictor. One place to change it."""

from __future__ import annotations

from gatekeeper.protocols import ReliabilityPredictor
from gatekeeper.reliability.learned import LearnedPredictor

OURS = "ours"
WITHOUT_SECOND = "ours, no second opinion"


def our_predictor(seed: int) -> ReliabilityPredictor:
    """Our failure predictor, not fitted yet."""
    return LearnedPredictor(seed=seed)
