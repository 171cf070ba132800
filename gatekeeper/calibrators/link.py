"""A logistic link from scores and context to log-odds; it never turns the order of scores round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy import optimize, special

from gatekeeper.calibrators.inputs import Float64Array, state_arrays
from gatekeeper.errors import InputError
from gatekeeper.types import BoolArray, FloatArray

# Penalty on standardised weights, in rows: too light to be seen beside the data, enough to make
# the answer unique where columns are collinear.
_RIDGE = 0.01
# A column whose spread is below this is taken as constant and gets weight 0.
_LEAST_SPREAD = 1e-100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogisticLink:
    """log-odds = columns · score_weights + context · context_weights + intercept.

    Attributes:
        score_weights: Shape (S,), at least 0, in units of the columns read off the score.
        context_weights: Shape (C,), any sign, in units of the context; C is 0 without context.
        intercept: Log-odds where all columns are 0.

    Raises:
        InputError: a score weight is negative, which would turn the order of scores round.
    """

    score_weights: Float64Array
    context_weights: Float64Array
    intercept: float

    STATE_NAMES: ClassVar[tuple[str, ...]] = ("score_weights", "context_weights", "intercept")

    def __post_init__(self) -> None:
        """Refuse weights that reverse the order."""
        if np.any(self.score_weights < 0.0):
            raise InputError(f"score weights must be at least 0, got {self.score_weights.tolist()}")

    def log_odds(self, columns: Float64Array, context: Float64Array) -> Float64Array:
        """Log-odds of being right.

        Args:
            columns: Shape (N, S), each non-decreasing in the score.
            context: Shape (N, C).

        Returns:
            Shape (N,); a row depends on its own values alone, to the last bit.

        Raises:
            InputError: C is not the one that the link was fitted with.
        """
        if context.shape[1] != len(self.context_weights):
            raise InputError(
                f"expected context with the {len(self.context_weights)} columns of fit, "
                f"got {context.shape[1]} columns"
            )
        # Column by column: a matrix product may add in another order for another batch size.
        total = np.full(len(columns), self.intercept)
        for weight, column in zip(self.context_weights, context.T, strict=True):
            total += weight * column
        for weight, column in zip(self.score_weights, columns.T, strict=True):
            total += weight * column
        return total

    def state(self) -> dict[str, FloatArray]:
        """The parameters as arrays of one dimension."""
        return {
            "score_weights": self.score_weights.copy(),
            "context_weights": self.context_weights.copy(),
            "intercept": np.array([self.intercept]),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray], *, n_columns: int) -> Self:
        """Rebuild from :meth:`state`.

        Args:
            state: Exactly the arrays that :meth:`state` gives.
            n_columns: The S that the calibrator reads off a score.

        Raises:
            InputError: arrays are missing, unknown or of the wrong length.
        """
        weights, context_weights, intercept = state_arrays(state, names=cls.STATE_NAMES)
        if len(weights) != n_columns or len(intercept) != 1:
            raise InputError(
                f"expected a state with {n_columns} score weights and 1 intercept, "
                f"got {len(weights)} and {len(intercept)}"
            )
        return cls(
            score_weights=weights, context_weights=context_weights, intercept=float(intercept[0])
        )


IDENTITY = LogisticLink(score_weights=np.ones(1), context_weights=np.zeros(0), intercept=0.0)
"""The score as it is, without context."""


def smoothed_targets(correct: BoolArray) -> Float64Array:
    """What each outcome counts as: (n₊ + 1) / (n₊ + 2) for right, 1 / (n₋ + 2) for wrong.

    Args:
        correct: Whether each answer was right, shape (N,), boolean.

    Returns:
        Shape (N,), strictly between 0 and 1, so that a fit stays finite whatever the data.

    Source:
        Platt 1999, "Probabilistic outputs for support vector machines", section 2.2.
    """
    n_right = int(np.count_nonzero(correct))
    n_wrong = len(correct) - n_right
    return np.where(correct, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))


def fit_link(columns: Float64Array, context: Float64Array, correct: BoolArray) -> LogisticLink:
    """Maximum likelihood with smoothed targets and no negative score weight.

    Args:
        columns: Shape (N, S), N at least 1, each non-decreasing in the score.
        context: Shape (N, C).
        correct: Whether each answer was right, shape (N,).

    Returns:
        The link; on the data of the fit its mean probability is the mean smoothed target.
    """
    joined = np.hstack([columns, context])
    centre, spread = joined.mean(axis=0), joined.std(axis=0)
    constant = spread <= np.maximum(1e-12 * np.abs(joined).max(axis=0), _LEAST_SPREAD)
    spread = np.where(constant, 1.0, spread)
    design = np.where(constant, 0.0, (joined - centre) / spread)
    targets = smoothed_targets(correct)

    def loss(parameters: Float64Array) -> tuple[float, Float64Array]:
        weights, intercept = parameters[:-1], parameters[-1]
        z = design @ weights + intercept
        value = np.mean(np.logaddexp(0.0, z) - targets * z)
        residual = (special.expit(z) - targets) / len(z)
        penalty = _RIDGE / len(z)
        gradient = np.append(residual @ design + penalty * weights, residual.sum())
        return float(value + 0.5 * penalty * weights @ weights), gradient

    start = np.append(np.zeros(design.shape[1]), special.logit(targets.mean()))
    n_columns = columns.shape[1]
    bounds = [(0.0, None)] * n_columns + [(None, None)] * (context.shape[1] + 1)
    options = {"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9}
    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    weights = found.x[:-1] / spread
    return LogisticLink(
        score_weights=weights[:n_columns],
        context_weights=weights[n_columns:],
        intercept=float(found.x[-1] - weights @ centre),
    )
