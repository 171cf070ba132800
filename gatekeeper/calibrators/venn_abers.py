"""Venn–Abers calibration: two isotonic fits per answer, as if it were right and as if wrong."""

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
from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import BoolArray, FloatArray, IntArray


class VennAbersCalibrator:
    """p₁ / (1 − p₀ + p₁), with p₁ and p₀ the isotonic fits in which the answer itself takes part.

    p₁ is what isotonic regression says of a new answer that joins the data as right, p₀ as wrong.
    One of the two is perfectly calibrated, whatever the distribution, for rows that are
    exchangeable with those of the fit; the nearer they are, the more that is worth. The merged
    number is the one that loses least against either. It is never a hard 0 or 1.

    With context, a logistic link first joins score and context into one number that does not fall
    with the score at a fixed context; the guarantee of the pair holds without context only,
    because the link has seen the same rows.

    Attributes:
        link_: From score and context to the number that is calibrated; the score itself without
            context.
        knots_: Shape (M,), strictly rising, the distinct numbers of the fit.
        lows_: Shape (2M + 1,), p₀ below the first knot, at it, between it and the next, at that,
            … and above the last; non-decreasing.
        highs_: Shape (2M + 1,), p₁ likewise; at least p₀.

    Source:
        Vovk & Petej 2014, "Venn-Abers predictors" (arXiv:1211.0025); merged as in Vovk, Petej &
        Fedorova 2015 (arXiv:1511.00213), section 5, for the log loss. All pairs are computed once,
        as tangents between the convex hulls of the data below and above.
    """

    link_: LogisticLink
    knots_: Float64Array
    lows_: Float64Array
    highs_: Float64Array

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
        self.knots_, place, counts = np.unique(joined, return_inverse=True, return_counts=True)
        n_right = np.bincount(place, weights=outcomes).astype(np.int64)
        self.lows_ = fits_with_one_more(counts, n_right, right=False)
        self.highs_ = fits_with_one_more(counts, n_right, right=True)
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
        low, high = self.pair(scores, context=context)
        return high / (1.0 - low + high)

    def pair(
        self, scores: FloatArray, *, context: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """The two isotonic fits of each answer: how much the data leave open.

        Args:
            scores: As in :meth:`reliability`.
            context: As in :meth:`reliability`.

        Returns:
            p₀ and p₁, shape (N,) each, p₀ < p₁, non-decreasing in the score at a fixed context.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: as :meth:`reliability`.
        """
        self._check_fitted()
        columns = score_array(scores)[:, None]
        joined = self.link_.log_odds(columns, context_array(context, n=len(columns)))
        below = np.searchsorted(self.knots_, joined, side="left")
        up_to = np.searchsorted(self.knots_, joined, side="right")
        place = below + up_to  # one more where the number is itself a knot
        return self.lows_[place], self.highs_[place]

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters as plain arrays.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        self._check_fitted()
        own = {"knots": self.knots_, "lows": self.lows_, "highs": self.highs_}
        return {**self.link_.state(), **{name: array.copy() for name, array in own.items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: the arrays are not those that :meth:`state` gives, or are out of order.
        """
        names = (*LogisticLink.STATE_NAMES, "knots", "lows", "highs")
        *_, knots, lows, highs = state_arrays(state, names=names)
        lengths = {len(lows), len(highs)}
        if len(knots) == 0 or np.any(np.diff(knots) <= 0.0) or lengths != {2 * len(knots) + 1}:
            raise InputError(
                "expected a state with strictly rising knots, and lows and highs one more than "
                f"twice as many, got {len(knots)}, {len(lows)} and {len(highs)}"
            )
        both = np.concatenate([lows, highs])
        rising = np.all(np.diff(lows) >= 0.0) and np.all(np.diff(highs) >= 0.0)
        if not rising or np.any(lows >= highs) or both.min() < 0.0 or both.max() > 1.0:
            raise InputError(
                "expected a state with lows and highs that rise within [0, 1], each low below its "
                "high; fit again"
            )
        new = cls()
        link_state = {name: state[name] for name in LogisticLink.STATE_NAMES}
        new.link_ = LogisticLink.from_state(link_state, n_columns=1)
        new.knots_, new.lows_, new.highs_ = knots, lows, highs
        return new

    def _check_fitted(self) -> None:
        if not hasattr(self, "knots_"):
            raise NotFittedError("this VennAbersCalibrator has learned nothing yet; call fit first")


def fits_with_one_more(counts: IntArray, n_right: IntArray, *, right: bool) -> Float64Array:
    """Isotonic regression of grouped outcomes at one more answer, for every place it may take.

    The fit at a place is the largest, over where a pool may begin below it, of the smallest, over
    where it may end above it, of the pool's share of right answers. In the diagram of right answers
    against answers, both summed up to each group, that is the slope of the line that touches the
    convex hull of the points below and that of the points above, the latter moved by the one more.

    Args:
        counts: Shape (M,), answers in each group of equal scores, from low to high.
        n_right: Shape (M,), right answers in each.
        right: Whether the one more is right.

    Returns:
        Shape (2M + 1,): below the first group, in it, between it and the next, … above the last.
    """
    across = np.concatenate([[0], np.cumsum(counts)])
    up = np.concatenate([[0], np.cumsum(n_right)])
    below = _hull_before(across, up)
    # Mirrored left to right, the hull of the points above is one of points below.
    above = len(up) - 1 - _hull_before(-across[::-1], up[::-1])[::-1]
    with np.errstate(invalid="ignore"):  # the outermost points have no neighbour: 0 / 0
        steep_below = np.nan_to_num((up - up[below]) / (across - across[below]), nan=-np.inf)
        steep_above = np.nan_to_num((up[above] - up) / (across[above] - across), nan=np.inf)
    # Lists, because the walk reads one number at a time.
    walk = [array.tolist() for array in (across, up, below, above, steep_below, steep_above)]
    return np.array([_steepness(place, int(right), *walk) for place in range(2 * len(counts) + 1)])


def _hull_before(across: IntArray, up: IntArray) -> IntArray:
    """For every point its neighbour on the lower convex hull of the points up to it, (M,).

    ``across`` rises strictly. The first point is its own neighbour.
    """
    points = list(zip(across.tolist(), up.tolist(), strict=True))
    neighbours = np.zeros(len(points), dtype=np.int64)
    hull: list[int] = []
    for new, (x, y) in enumerate(points):
        while len(hull) > 1:
            (x_first, y_first), (x_last, y_last) = points[hull[-2]], points[hull[-1]]
            if (y_last - y_first) * (x - x_last) < (y - y_last) * (x_last - x_first):
                break  # the slope rises at the last vertex, so it stays one
            hull.pop()
        neighbours[new] = hull[-1] if hull else new
        hull.append(new)
    return neighbours


def _steepness(
    place: int,
    one_more_right: int,
    across: list[int],
    up: list[int],
    below: list[int],
    above: list[int],
    steep_below: list[float],
    steep_above: list[float],
) -> float:
    """Slope of the line that touches both hulls around a place, the upper one moved."""
    start, end = place // 2, (place + 1) // 2
    while True:
        slope = (up[end] - up[start] + one_more_right) / (across[end] - across[start] + 1)
        if steep_above[end] < slope:
            end = above[end]
        elif steep_below[start] > slope:
            start = below[start]
        else:
            return slope
