"""Is today's traffic the traffic that was certified? A label-free test on windows of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import special

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import FloatArray, IntArray

WINDOW = 500
"""Images per window."""

_BINS = 10
_DRAWS = 999
_LEAST_EXPECTED = 1.0
_LEAST_LEVEL = 0.001
_SMALLEST = 1e-300


class ConditionsTest:
    """Flags a window whose signals or reliabilities are not distributed as when certified.

    Every column of the reference is cut at its deciles; a window is compared with it by Pearson's
    two-sample chi-square per column, and the smallest p-value is multiplied by a number of tests.
    That number is calibrated on the reference itself: so many windows drawn from it, each compared
    with the rest, are flagged as often as the level says. It accounts for columns that move
    together (fewer tests than columns) and for rare values, at which the chi-square is too sure of
    itself (more).

    A flag withdraws nothing by itself: it says that the certificate does not speak about this
    traffic. Without a flag nothing is proven either. One column at a time suffices here: a
    corruption that changes how signals go together also changes how some of them are spread.

    Args:
        level: Share of windows of certified traffic that may be flagged, in [0.001, 1). Strict,
            because traffic of another kind is far beyond any level.

    Raises:
        InputError: the level is outside its range.

    Source:
        Westfall & Young 1993, "Resampling-based multiple testing": the null distribution of the
        smallest p-value, by resampling. Deviates in keeping one quantile of it.
    """

    def __init__(self, *, level: float = 0.01) -> None:
        if not _LEAST_LEVEL <= level < 1:
            raise InputError(f"level must be in [{_LEAST_LEVEL:g}, 1), got {level}")
        self.level = level
        self.edges_: FloatArray | None = None
        self.counts_: FloatArray | None = None
        self.n_tests_: float = 1.0

    def fit(self, signals: FloatArray, reliability: FloatArray) -> Self:
        """Remember the reference and calibrate the level on it.

        Args:
            signals: Shape (N, D), N at least 2, of certified traffic, in any order.
            reliability: Raw reliabilities, shape (N,).

        Raises:
            InputError: shapes are not as described, or N is below 2.
        """
        columns = _columns(signals, reliability)
        if len(columns) < 2:
            raise InputError(f"expected a reference of at least 2 images, got {len(columns)}")
        inner = np.linspace(0.0, 1.0, _BINS + 1)[1:-1]
        self.edges_ = _with_a_bin_above(np.quantile(columns, inner, axis=0).T)
        places = _places(columns, self.edges_)
        self.counts_ = _counts(places)
        smallest = np.sort(_smallest_of_own_windows(places, self.counts_))
        at_level = float(smallest[int(self.level * (_DRAWS + 1)) - 1])
        self.n_tests_ = max(1.0, self.level / max(at_level, _SMALLEST))
        return self

    def p_value(self, signals: FloatArray, reliability: FloatArray) -> float:
        """Adjusted p-value of a window, in [0, 1]; small speaks against it.

        Args:
            signals: Shape (n, D), n at least 1. The level is calibrated for :data:`WINDOW` images;
                fewer than about ten never speak against anything.
            reliability: Raw reliabilities, shape (n,).

        Raises:
            NotFittedError: before ``fit``.
            InputError: another number of signals than in ``fit``, or an empty window.
        """
        return min(1.0, self.n_tests_ * float(self.column_p_values(signals, reliability).min()))

    def column_p_values(self, signals: FloatArray, reliability: FloatArray) -> FloatArray:
        """P-value of each column by itself, to tell what has changed.

        Args:
            signals: Shape (n, D), n at least 1.
            reliability: Raw reliabilities, shape (n,).

        Returns:
            Shape (D + 1,), in [0, 1], of the signals and, last, of the reliability.

        Raises:
            NotFittedError: before ``fit``.
            InputError: another number of signals than in ``fit``, or an empty window.
        """
        if self.edges_ is None or self.counts_ is None:
            raise NotFittedError("the conditions test has no reference yet: call fit first")
        columns = _columns(signals, reliability)
        if len(columns) == 0 or columns.shape[1] != len(self.edges_):
            raise InputError(
                f"expected at least one image with {len(self.edges_) - 1} signals, got "
                f"{signals.shape}"
            )
        return _p_values(self.counts_, _counts(_places(columns, self.edges_)))

    def flagged_share(self, signals: FloatArray, reliability: FloatArray) -> float:
        """Share of whole windows of :data:`WINDOW` images that are flagged, in order of arrival.

        Raises:
            InputError: there is not one whole window.
        """
        n_windows = len(signals) // WINDOW
        if n_windows == 0:
            raise InputError(f"expected at least {WINDOW} images, got {len(signals)}")
        flags = [
            self.p_value(signals[rows], reliability[rows]) < self.level
            for rows in np.array_split(np.arange(n_windows * WINDOW), n_windows)
        ]
        return float(np.mean(flags))

    def state(self) -> dict[str, FloatArray]:
        """The reference as plain arrays.

        Raises:
            NotFittedError: before ``fit``.
        """
        if self.edges_ is None or self.counts_ is None:
            raise NotFittedError("the conditions test has no reference yet: call fit first")
        return {
            "edges": self.edges_,
            "counts": self.counts_,
            "level": np.array(self.level),
            "n_tests": np.array(self.n_tests_),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`."""
        built = cls(level=float(state["level"]))
        built.edges_, built.counts_ = state["edges"], state["counts"]
        # Bundles written before the level was calibrated counted every column as one test.
        built.n_tests_ = float(state.get("n_tests", np.array(len(built.edges_))))
        return built


def _columns(signals: FloatArray, reliability: FloatArray) -> FloatArray:
    if signals.ndim != 2 or len(signals) != len(reliability):
        raise InputError(
            f"expected signals (N, D) and reliabilities (N,), got {signals.shape} and "
            f"{reliability.shape}"
        )
    return np.column_stack([signals, reliability]).astype(np.float64)


def _with_a_bin_above(edges: FloatArray) -> FloatArray:
    """Edges of a constant signal, moved so that values above it are told from the value itself."""
    constant = edges[:, 0] == edges[:, -1]
    edges[constant, -1] = np.nextafter(edges[constant, -1], np.inf)
    return edges


def _places(columns: FloatArray, edges: FloatArray) -> IntArray:
    """Bin of every value, numbered through all columns, (N, columns)."""
    bins = [
        np.searchsorted(cuts, column, side="right")
        for cuts, column in zip(edges, columns.T, strict=True)
    ]
    return np.stack(bins, axis=1) + _BINS * np.arange(len(edges))


def _counts(places: IntArray) -> FloatArray:
    """Values per column and bin, (columns, bins)."""
    n_columns = places.shape[1]
    counts = np.bincount(places.ravel(), minlength=_BINS * n_columns)
    return counts.reshape(n_columns, _BINS).astype(np.float64)


def _p_values(reference: FloatArray, window: FloatArray) -> FloatArray:
    """Two-sample chi-square per column, (columns,); 1 where one bin holds all values."""
    both = reference + window
    n_window, n_both = window.sum(axis=1), both.sum(axis=1)
    # Too rare a bin tells nothing but would upset the chi-square: the test is of the others.
    used = both * (n_window / n_both)[:, None] >= _LEAST_EXPECTED
    both, seen = both * used, window * used
    share = (seen.sum(axis=1) / np.maximum(both.sum(axis=1), 1.0))[:, None]
    expected = both * share
    # A bin's two cells miss their expected counts by the same amount.
    variance = np.where(expected > 0.0, expected * (1.0 - share), np.inf)
    misses = (seen - expected) ** 2 / variance
    freedom = used.sum(axis=1) - 1
    # A signal that is constant in both (no colour, say) fills one bin: nothing differs.
    tails = special.chdtrc(np.maximum(freedom, 1), misses.sum(axis=1))
    return np.where(freedom > 0, tails, 1.0)


def _smallest_of_own_windows(places: IntArray, counts: FloatArray) -> FloatArray:
    """Smallest p-values of windows of the reference against the rest of it, (draws,)."""
    rng = np.random.default_rng(0)
    size = min(WINDOW, len(places) // 2)
    smallest = np.empty(_DRAWS)
    for draw in range(_DRAWS):
        window = _counts(places[rng.choice(len(places), size, replace=False)])
        smallest[draw] = _p_values(counts - window, window).min()
    return smallest
