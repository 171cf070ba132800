"""A logistic link whose slope and height change with the context; the slope stays positive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import optimize, special

from gatekeeper.calibrators.inputs import Float64Array
from gatekeeper.calibrators.link import smoothed_targets
from gatekeeper.types import BoolArray

# A coordinate beyond this counts as this, and the context moves the logarithm of the slope by no
# more than this: what lies far outside must not drive the answer alone.
_MOST_SPREADS = 3.0
_MOST_TILT = 3.0
# The slope at the middle of the contexts, per spread of the score, lies within e^∓ these.
_FLATTEST, _STEEPEST = -20.0, 5.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConditionalLink:
    """log-odds = e^(tilt₀ + tilt · x) · (score − centre) ÷ spread + height₀ + height · x.

    Attributes:
        centre: Mean score of the fit.
        spread: Its standard deviation, above 0.
        tilt: Shape (P + 1,), tilt₀ first.
        height: Shape (P + 1,), height₀ first.
    """

    centre: float
    spread: float
    tilt: Float64Array
    height: Float64Array

    @classmethod
    def fit(
        cls, scores: Float64Array, points: Float64Array, correct: BoolArray, *, ridge: float
    ) -> Self:
        """Penalised maximum likelihood with smoothed targets.

        Args:
            scores: Shape (N,), N at least 1.
            points: Shape (N, P), coordinates of the contexts.
            correct: Whether each answer was right, shape (N,).
            ridge: Penalty on tilt and height, in rows, at least 0; infinite leaves the context
                out of account.
        """
        width = points.shape[1]
        used = _clamped(points[:, :0] if np.isinf(ridge) else points)
        centre, spread = float(scores.mean()), float(scores.std())
        if spread <= 1e-12 * float(np.abs(scores).max()):
            spread = 1.0
        found = _least_loss((scores - centre) / spread, used, smoothed_targets(correct), ridge)
        tilt, height = np.split(found, 2)
        unused = np.zeros(width - used.shape[1])
        return cls(
            centre=centre,
            spread=spread,
            tilt=np.concatenate([tilt, unused]),
            height=np.concatenate([height, unused]),
        )

    def log_odds(self, scores: Float64Array, points: Float64Array) -> Float64Array:
        """Log-odds of being right.

        Args:
            scores: Shape (N,).
            points: Shape (N, P), coordinates of the contexts.

        Returns:
            Shape (N,), rising with the score at a fixed context; a row depends on its own values
            alone, to the last bit.
        """
        tilt, height = np.zeros(len(points)), np.full(len(points), self.height[0])
        columns = _clamped(points).T
        for column, steeper, higher in zip(columns, self.tilt[1:], self.height[1:], strict=True):
            tilt += steeper * column
            height += higher * column
        slope = np.exp(self.tilt[0] + np.clip(tilt, -_MOST_TILT, _MOST_TILT))
        return np.asarray(slope * ((scores - self.centre) / self.spread) + height)


def _least_loss(
    scores: Float64Array, points: Float64Array, targets: Float64Array, ridge: float
) -> Float64Array:
    """Tilt and height, one after the other, shape (2 P + 2,)."""
    n_rows, width = points.shape
    # Neither the slope nor the height at the middle of the contexts is pulled anywhere.
    penalty = np.full(2 * width + 2, ridge)
    penalty[[0, width + 1]] = 0.0

    def loss(parameters: Float64Array) -> tuple[float, Float64Array]:
        tilt, height = np.split(parameters, 2)
        bend = points @ tilt[1:]
        slope = np.exp(tilt[0] + np.clip(bend, -_MOST_TILT, _MOST_TILT))
        z = slope * scores + height[0] + points @ height[1:]
        residual = special.expit(z) - targets
        along = residual * slope * scores
        bending = np.where(np.abs(bend) < _MOST_TILT, along, 0.0) @ points
        gradient = np.concatenate([[along.sum()], bending, [residual.sum()], residual @ points])
        value = np.sum(np.logaddexp(0.0, z) - targets * z)
        value += 0.5 * (penalty * parameters) @ parameters
        return float(value) / n_rows, (gradient + penalty * parameters) / n_rows

    start = np.zeros(2 * width + 2)
    start[width + 1] = special.logit(targets.mean())
    bounds = [(_FLATTEST, _STEEPEST)] + [(None, None)] * (2 * width + 1)
    options = {"maxiter": 300, "ftol": 1e-9, "gtol": 1e-7}
    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return np.asarray(found.x)


def _clamped(points: Float64Array) -> Float64Array:
    return np.clip(points, -_MOST_SPREADS, _MOST_SPREADS)
