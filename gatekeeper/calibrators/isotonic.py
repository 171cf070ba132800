"""Isotonic calibration: no assumed shape, only that reliability does not fall with the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from gatekeeper.calibrators.inputs import (
    Float64Array,
    context_array,
    outcome_array,
    score_array,
    state_arrays,
)
from gatekeeper.calibrators.link import IDENTITY, LogisticLink, fit_link
from gatekeeper.calibrators.pools import pools
from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import BoolArray, FloatArray


class IsotonicCalibrator:
    """Pooled shares of right answers, joined by straight lines between the centres of the pools.

    Within a pool of plain isotonic regression all rows tie, which leaves a gate only a handful of
    thresholds. Here a pool holds at the mean of its scores and neighbours are joined by lines, so
    different scores between the outer centres mostly keep different reliabilities. A pool without
    a single error (or without a right answer) counts as (k + 1) / (n + 2): never a hard 0 or 1.
    The lines move the mean reliability off the accuracy on the data of the fit, mostly by less than
    the standard error of that accuracy.

    With context, a logistic link first joins score and context into one number that does not fall
    with the score at a fixed context; the pools are then formed on that number.

    Attributes:
        link_: From score and context to the number that is calibrated; the score itself without
            context.
        knots_: Shape (M,), strictly rising centres of the pools, M at least 1.
        values_: Shape (M,), reliability at each centre, non-decreasing, in (0, 1).

    Source:
        Zadrozny & Elkan 2002, "Transforming classifier scores into accurate multiclass probability
        estimates"; lines between centres: Oron & Flournoy 2017, "Centered isotonic regression"
        (arXiv:1701.05964). Deviates in the counted ends and in the link.
    """

    link_: LogisticLink
    knots_: Float64Array
    values_: Float64Array

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
        columns = score_array(scores)[:, None]
        outcomes = outcome_array(correct, n=len(columns))
        beside = context_array(context, n=len(columns))
        self.link_ = fit_link(columns, beside, outcomes) if beside.shape[1] else IDENTITY
        self.knots_, self.values_ = pools(self.link_.log_odds(columns, beside), outcomes)
        return self

    def reliability(self, scores: FloatArray, *, context: FloatArray | None = None) -> FloatArray:
        """Probability of being right.

        Args:
            scores: Shape (N,), finite; N may be 0.
            context: Shape (N, C) with the C of fit, or None if fitted without.

        Returns:
            Shape (N,), in (0, 1), non-decreasing in the score at a fixed context; constant below
            the lowest and above the highest centre.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: as :meth:`fit`, or another context than in fit.
        """
        self._check_fitted()
        columns = score_array(scores)[:, None]
        joined = self.link_.log_odds(columns, context_array(context, n=len(columns)))
        return np.interp(joined, self.knots_, self.values_)

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters as plain arrays.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        self._check_fitted()
        own = {"knots": self.knots_.copy(), "values": self.values_.copy()}
        return {**self.link_.state(), **own}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: the arrays are not those that :meth:`state` gives, or are out of order.
        """
        names = (*LogisticLink.STATE_NAMES, "knots", "values")
        *_, knots, values = state_arrays(state, names=names)
        if len(knots) == 0 or len(knots) != len(values) or np.any(np.diff(knots) <= 0.0):
            raise InputError(
                f"expected a state with as many strictly rising knots as values, "
                f"got {len(knots)} knots and {len(values)} values"
            )
        if np.any(np.diff(values) < 0.0) or values[0] < 0.0 or values[-1] > 1.0:
            raise InputError("expected a state with values that rise within [0, 1]; fit again")
        new = cls()
        link_state = {name: state[name] for name in LogisticLink.STATE_NAMES}
        new.link_ = LogisticLink.from_state(link_state, n_columns=1)
        new.knots_, new.values_ = knots, values
        return new

    def _check_fitted(self) -> None:
        if not hasattr(self, "knots_"):
            raise NotFittedError("this IsotonicCalibrator has learned nothing yet; call fit first")
