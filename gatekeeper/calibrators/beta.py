"""Beta calibration, for scores that already are probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import special

from gatekeeper.calibrators.inputs import (
    Float64Array,
    context_array,
    outcome_array,
    score_array,
)
from gatekeeper.calibrators.link import LogisticLink, fit_link
from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import BoolArray, FloatArray

# Scores are kept this far from 0 and 1, where the logarithms would be infinite.
_EDGE = 1e-12


class BetaCalibrator:
    """P(right) = sigmoid(a · ln s − b · ln(1 − s) + c · context + d) with a, b ≥ 0.

    For scores in [0, 1] such as a largest softmax probability. a = b = 1, d = 0 leaves them as
    they are, which logistic calibration cannot.

    Attributes:
        link_: The fitted weights (a, b), context weights and intercept.

    Source:
        Kull, Silva Filho & Flach 2017, "Beta calibration" (AISTATS), section 4. Deviates: a and b
        are bounded in one fit instead of refitted when negative; Platt's smoothed targets; a ridge
        of 0.01 rows on standardised weights.
    """

    link_: LogisticLink

    def fit(
        self, scores: FloatArray, correct: BoolArray, *, context: FloatArray | None = None
    ) -> Self:
        """Learn from outcomes.

        Args:
            scores: Shape (N,), N at least 1, in [0, 1]; higher is more reliable.
            correct: Whether the classifier was right, boolean, shape (N,).
            context: Shape (N, C), finite, or None.

        Raises:
            InputError: shapes differ, N is 0, or a value is NaN, infinite or outside [0, 1].
        """
        columns = _columns(scores)
        outcomes = outcome_array(correct, n=len(columns))
        self.link_ = fit_link(columns, context_array(context, n=len(columns)), outcomes)
        return self

    def reliability(self, scores: FloatArray, *, context: FloatArray | None = None) -> FloatArray:
        """Probability of being right.

        Args:
            scores: Shape (N,), in [0, 1]; N may be 0.
            context: Shape (N, C) with the C of fit, or None if fitted without.

        Returns:
            Shape (N,), in [0, 1], non-decreasing in the score at a fixed context.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: as :meth:`fit`, or another context than in fit.
        """
        link = self._fitted()
        columns = _columns(scores)
        z = link.log_odds(columns, context_array(context, n=len(columns)))
        return special.expit(z)  # type: ignore[no-any-return]

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters as plain arrays.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        return self._fitted().state()

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: the arrays are not those that :meth:`state` gives.
        """
        new = cls()
        new.link_ = LogisticLink.from_state(state, n_columns=2)
        return new

    def _fitted(self) -> LogisticLink:
        if not hasattr(self, "link_"):
            raise NotFittedError("this BetaCalibrator has learned nothing yet; call fit first")
        return self.link_


def _columns(scores: FloatArray) -> Float64Array:
    """Columns ln s and −ln(1 − s), shape (N, 2); both rise with the score."""
    values = score_array(scores)
    if np.any((values < 0.0) | (values > 1.0)):
        raise InputError(
            f"beta calibration needs scores in [0, 1], got {values.min():g} to {values.max():g}; "
            "use the logistic or isotonic calibrator for other scores"
        )
    inside = np.clip(values, _EDGE, 1.0 - _EDGE)
    return np.column_stack([np.log(inside), -np.log1p(-inside)])
