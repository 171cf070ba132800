"""Histogram binning: the share of right answers in each of a few bins of equal numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import optimize

from gatekeeper.calibrators.inputs import (
    Float64Array,
    context_array,
    outcome_array,
    score_array,
    state_arrays,
)
from gatekeeper.calibrators.link import IDENTITY, LogisticLink, fit_link
from gatekeeper.calibrators.shares import without_certainty
from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import BoolArray, FloatArray


class HistogramCalibrator:
    """Bins of about N / n_bins rows by rank; a bin's reliability is its share of right answers.

    Equal scores share a bin, and all scores of a bin share one reliability. Neighbouring bins
    whose shares would fall with the score are pooled, so that the order is kept. The lowest bin
    without a right answer and the highest without a wrong one count as (k + 1) / (n + 2): never a
    hard 0 or 1. The simplest calibrator with a known error: each bin's is that of a proportion.

    With context, a logistic link first joins score and context into one number that does not fall
    with the score at a fixed context; the bins are then formed on that number.

    Args:
        n_bins: Most bins, at least 1.

    Attributes:
        link_: From score and context to the number that is binned; the score itself without
            context.
        floors_: Shape (M−1,), strictly rising, the lowest number of each bin but the first.
        values_: Shape (M,), reliability of each bin, strictly rising, in (0, 1).

    Source:
        Zadrozny & Elkan 2001, "Obtaining calibrated probability estimates from decision trees and
        naive Bayesian classifiers", section 3.4. Deviates in the pooling and in the counted ends.
    """

    link_: LogisticLink
    floors_: Float64Array
    values_: Float64Array

    def __init__(self, *, n_bins: int = 15) -> None:
        if n_bins < 1:
            raise InputError(f"n_bins must be at least 1, got {n_bins}")
        self.n_bins = n_bins

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
        joined = self.link_.log_odds(columns, beside)
        ordered = np.sort(joined)
        below = np.searchsorted(ordered, joined, side="left")
        _, bins = np.unique(below * self.n_bins // len(joined), return_inverse=True)
        counts = np.bincount(bins)
        found = optimize.isotonic_regression(
            np.bincount(bins, weights=outcomes) / counts, weights=counts
        )
        first = found.blocks[:-1]
        sizes = np.add.reduceat(counts, first)
        right = np.add.reduceat(np.bincount(bins, weights=outcomes), first)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.floors_ = ordered[starts[1:]]
        self.values_ = without_certainty(right, sizes)
        return self

    def reliability(self, scores: FloatArray, *, context: FloatArray | None = None) -> FloatArray:
        """Probability of being right.

        Args:
            scores: Shape (N,), finite; N may be 0.
            context: Shape (N, C) with the C of fit, or None if fitted without.

        Returns:
            Shape (N,), in (0, 1), non-decreasing in the score at a fixed context.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: as :meth:`fit`, or another context than in fit.
        """
        self._check_fitted()
        columns = score_array(scores)[:, None]
        joined = self.link_.log_odds(columns, context_array(context, n=len(columns)))
        return np.asarray(self.values_[np.searchsorted(self.floors_, joined, side="right")])

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters as plain arrays.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        self._check_fitted()
        own = {"floors": self.floors_.copy(), "values": self.values_.copy()}
        return {**self.link_.state(), **own}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: the arrays are not those that :meth:`state` gives, or are out of order.
        """
        names = (*LogisticLink.STATE_NAMES, "floors", "values")
        *_, floors, values = state_arrays(state, names=names)
        if len(values) != len(floors) + 1 or np.any(np.diff(floors) <= 0.0):
            raise InputError(
                "expected a state with strictly rising floors, one less than values, "
                f"got {len(floors)} floors and {len(values)} values"
            )
        if np.any(np.diff(values) < 0.0) or values[0] < 0.0 or values[-1] > 1.0:
            raise InputError("expected a state with values that rise within [0, 1]; fit again")
        new = cls(n_bins=len(values))
        link_state = {name: state[name] for name in LogisticLink.STATE_NAMES}
        new.link_ = LogisticLink.from_state(link_state, n_columns=1)
        new.floors_, new.values_ = floors, values
        return new

    def _check_fitted(self) -> None:
        if not hasattr(self, "values_"):
            raise NotFittedError("this HistogramCalibrator has learned nothing yet; call fit first")
