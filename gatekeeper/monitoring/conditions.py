"""Is today's traffic the traffic that was certified? A label-free test on windows of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import stats

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import FloatArray

WINDOW = 500
"""Images per window."""

_BINS = 10


class ConditionsTest:
    """Flags a window whose signals or reliabilities are not distributed as when certified.

    Every column of the reference is cut at its deciles; a window is compared with it by Pearson's
    two-sample chi-square per column, and the smallest p-value, times the number of columns
    (Bonferroni), is the window's.

    A flag withdraws nothing by itself: it says that the certificate does not speak about this
    traffic. Without a flag nothing is proven either.

    Args:
        level: Share of windows of certified traffic that may be flagged, in (0, 1).
    """

    def __init__(self, *, level: float = 0.05) -> None:
        if not 0 < level < 1:
            raise InputError(f"level must be in (0, 1), got {level}")
        self.level = level
        self.edges_: FloatArray | None = None
        self.counts_: FloatArray | None = None

    def fit(self, signals: FloatArray, reliability: FloatArray) -> Self:
        """Remember the reference.

        Args:
            signals: Shape (N, D), of certified traffic.
            reliability: Raw reliabilities, shape (N,).
        """
        columns = _columns(signals, reliability)
        inner = np.linspace(0.0, 1.0, _BINS + 1)[1:-1]
        self.edges_ = _with_a_bin_above(np.quantile(columns, inner, axis=0).T)
        self.counts_ = _counts(columns, self.edges_)
        return self

    def p_value(self, signals: FloatArray, reliability: FloatArray) -> float:
        """Bonferroni-adjusted p-value of a window, in [0, 1]; small speaks against it.

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
        seen = _counts(columns, self.edges_)
        smallest = 1.0
        for reference, window in zip(self.counts_, seen, strict=True):
            # A signal that is constant in both (no colour, say) fills one bin: nothing differs.
            filled = (reference + window) > 0
            if filled.sum() > 1:
                table = np.stack([reference[filled], window[filled]])
                smallest = min(smallest, float(stats.chi2_contingency(table).pvalue))
        return min(1.0, smallest * len(self.edges_))

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
        """The reference as plain arrays."""
        if self.edges_ is None or self.counts_ is None:
            raise NotFittedError("the conditions test has no reference yet: call fit first")
        return {"edges": self.edges_, "counts": self.counts_, "level": np.array(self.level)}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`."""
        built = cls(level=float(state["level"]))
        built.edges_, built.counts_ = state["edges"], state["counts"]
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


def _counts(columns: FloatArray, edges: FloatArray) -> FloatArray:
    return np.stack(
        [
            np.bincount(np.searchsorted(cuts, column, side="right"), minlength=_BINS)
            for cuts, column in zip(edges, columns.T, strict=True)
        ]
    ).astype(np.float64)
