"""How much context and how much discount predict left-out regions of contexts best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from gatekeeper.calibrators.conditional import ConditionalLink
from gatekeeper.calibrators.inputs import Float64Array
from gatekeeper.calibrators.link import smoothed_targets
from gatekeeper.calibrators.surroundings import Surroundings, regions
from gatekeeper.errors import InputError
from gatekeeper.types import BoolArray

RIDGES = (np.inf, 10_000.0, 1_000.0, 300.0, 100.0, 30.0)
"""How strongly the context may be held back, in rows; infinite leaves it out of account."""

_N_REGIONS = 8
# Regions are drawn in the coordinates that vary together most, none of which counts beyond this.
_REGION_COORDINATES = 10
_MOST_SPREADS = 3.0
# A region is left out only where this share of the rows remains to learn from.
_LEAST_REMAINDER = 0.25
# Everything is tried on at most so many rows.
_MOST_ROWS = 3_000
_MOST_EXCESS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """log-odds ÷ (1 + shrink · e) − lower · e, for a context e beyond ordinary.

    Attributes:
        shrink: At least 0: what is less known about is less certain.
        lower: At least 0: … and mostly worse.
    """

    shrink: float
    lower: float

    def __post_init__(self) -> None:
        """Refuse a discount that rewards the unknown."""
        if self.shrink < 0.0 or self.lower < 0.0:
            raise InputError(
                f"discounts must be at least 0, got {self.shrink:g} and {self.lower:g}"
            )

    def __call__(self, log_odds: Float64Array, excess: Float64Array) -> Float64Array:
        """Shape (N,), rising with the log-odds at a fixed excess."""
        beyond = np.minimum(excess, _MOST_EXCESS)
        return log_odds / (1.0 + self.shrink * beyond) - self.lower * beyond


def chosen(
    scores: Float64Array, points: Float64Array, correct: BoolArray, *, seed: int
) -> tuple[float, Discount]:
    """Ridge and discount by leaving out regions.

    Args:
        scores: Shape (N,), N at least 40.
        points: Shape (N, P), coordinates of the contexts, P at least 1.
        correct: Whether each answer was right, shape (N,).
        seed: Of the rows that are tried and of the regions.

    Returns:
        One of ``RIDGES`` and the discount that goes with it. Where contexts do not fall into
        regions: an infinite ridge and no discount.
    """
    rows = np.random.default_rng(seed).permutation(len(scores))[:_MOST_ROWS]
    scores, points, correct = scores[rows], points[rows], correct[rows]
    clamped = np.clip(points[:, :_REGION_COORDINATES], -_MOST_SPREADS, _MOST_SPREADS)
    region = regions(clamped, _N_REGIONS, seed=seed)
    folds = [region == k for k in np.unique(region)]
    folds = [inside for inside in folds if np.mean(~inside) >= _LEAST_REMAINDER]
    if not folds:
        return np.inf, Discount(shrink=0.0, lower=0.0)
    targets = smoothed_targets(correct)
    targets = np.concatenate([targets[inside] for inside in folds])

    def predicted(ridge: float) -> Float64Array:
        """Log-odds of every left-out row, region by region."""
        return np.concatenate(
            [
                ConditionalLink.fit(
                    scores[~inside], points[~inside], correct[~inside], ridge=ridge
                ).log_odds(scores[inside], points[inside])
                for inside in folds
            ]
        )

    tried = [predicted(ridge) for ridge in RIDGES]
    # The first of equals: where two predict alike, the context is held back more.
    best = int(np.argmin([_loss(log_odds, targets) for log_odds in tried]))
    excess = np.concatenate(
        [Surroundings.of(points[~inside], seed=seed).excess(points[inside]) for inside in folds]
    )
    return RIDGES[best], _least_discounted(tried[best], excess, targets)


def _least_discounted(
    log_odds: Float64Array, excess: Float64Array, targets: Float64Array
) -> Discount:
    """The discount of least loss."""

    def loss(parameters: Float64Array) -> float:
        shrink, lower = parameters
        return _loss(Discount(shrink=shrink, lower=lower)(log_odds, excess), targets)

    found = optimize.minimize(loss, [0.1, 0.1], method="L-BFGS-B", bounds=[(0.0, 20.0), (0.0, 5.0)])
    shrink, lower = found.x
    return Discount(shrink=float(shrink), lower=float(lower))


def _loss(log_odds: Float64Array, targets: Float64Array) -> float:
    """Mean negative log-likelihood."""
    return float(np.mean(np.logaddexp(0.0, log_odds) - targets * log_odds))
