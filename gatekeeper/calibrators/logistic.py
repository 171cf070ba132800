"""Logistic (Platt) calibration with optional context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from scipy import special

from gatekeeper.calibrators.inputs import context_array, outcome_array, score_array
from gatekeeper.calibrators.link import LogisticLink, fit_link
from gatekeeper.errors import NotFittedError
from gatekeeper.types import BoolArray, FloatArray


class LogisticCalibrator:
    """P(right) = sigmoid(a · score + c · context + b) with a ≥ 0.

    The choice for few rows: two numbers without context. Scores may have any scale.

    Attributes:
        link_: The fitted weights and intercept, in the units of score and context.

    Source:
        Platt 1999, with his smoothed targets. Deviates: a is never negative, so that misleading
        scores are flattened instead of turned round; a ridge of 0.01 rows on standardised weights.
    """

    link_: LogisticLink

    def fit(
        self, scores: FloatArray, correct: BoolArray, *, context: FloatArray | None = None
    ) -> Self:
        """Learn from outcomes.

        Args:
            scores: Shape (N,), N at least 1, finite; higher is more reliable.
            correct: Whether the classifier was right, boolean, shape (N,).
            context: Shape (N, C), finite, or None.

        Raises:
            InputError: shapes differ, N is 0, or a value is NaN or infinite.
        """
        values = score_array(scores)
        outcomes = outcome_array(correct, n=len(values))
        self.link_ = fit_link(values[:, None], context_array(context, n=len(values)), outcomes)
        return self

    def reliability(self, scores: FloatArray, *, context: FloatArray | None = None) -> FloatArray:
        """Probability of being right.

        Args:
            scores: Shape (N,), finite; N may be 0.
            context: Shape (N, C) with the C of fit, or None if fitted without.

        Returns:
            Shape (N,), in [0, 1], non-decreasing in the score at a fixed context.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: as :meth:`fit`, or another context than in fit.
        """
        link = self._fitted()
        values = score_array(scores)
        z = link.log_odds(values[:, None], context_array(context, n=len(values)))
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
        new.link_ = LogisticLink.from_state(state, n_columns=1)
        return new

    def _fitted(self) -> LogisticLink:
        if not hasattr(self, "link_"):
            raise NotFittedError("this LogisticCalibrator has learned nothing yet; call fit first")
        return self.link_
