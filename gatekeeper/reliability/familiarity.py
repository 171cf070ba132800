"""How unlike everything that was fitted on a look is: distance to its nearest reference looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import FloatArray

_NEIGHBOUR = 3
_REFERENCES = 3000
_ORDINARY = 0.99
_BLOCK = 1024


class Familiarity:
    """Excess distance of a look's signals to those that were fitted on.

    Signals are standardised; the distance is that to the third nearest of at most 3,000 reference
    looks, divided by what 99 % of other fitted looks stay below. So 0 excess is ordinary, and an
    excess of 1 is twice as far out as ordinary looks get.

    Args:
        seed: Of the choice of the references.

    Source:
        Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors"
        (arXiv:2204.06507). Deviates in distortion signals in place of normalised features.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed
        self.references_: FloatArray | None = None
        self.spread_: FloatArray | None = None
        self.ordinary_: float | None = None

    def fit(self, signals: FloatArray) -> Self:
        """Remember reference looks.

        Args:
            signals: Shape (N, D), N at least 8.

        Raises:
            InputError: too few rows.
        """
        if len(signals) < 2 * (_NEIGHBOUR + 1):
            raise InputError(f"expected at least {2 * (_NEIGHBOUR + 1)} looks, got {len(signals)}")
        order = np.random.default_rng(self.seed).permutation(len(signals))
        n_references = min(_REFERENCES, len(signals) // 2)
        self.spread_ = (signals.std(axis=0) + 1e-3).astype(np.float32)
        self.references_ = (signals[order[:n_references]] / self.spread_).astype(np.float32)
        others = order[n_references : n_references + 2 * _REFERENCES]
        self.ordinary_ = max(float(np.quantile(self._distance(signals[others]), _ORDINARY)), 1e-6)
        return self

    def excess(self, signals: FloatArray) -> FloatArray:
        """How far beyond ordinary each look is, shape (B,), at least 0.

        Raises:
            NotFittedError: before ``fit``.
        """
        if self.ordinary_ is None:
            raise NotFittedError("familiarity has no references yet: call fit first")
        return np.asarray(np.maximum(self._distance(signals) / self.ordinary_ - 1.0, 0.0))

    def _distance(self, signals: FloatArray) -> FloatArray:
        if self.references_ is None or self.spread_ is None:
            raise NotFittedError("familiarity has no references yet: call fit first")
        found = np.empty(len(signals))
        lengths = (self.references_**2).sum(axis=1)
        for start in range(0, len(signals), _BLOCK):
            rows = (signals[start : start + _BLOCK] / self.spread_).astype(np.float32)
            squared = lengths - 2.0 * rows @ self.references_.T + (rows**2).sum(axis=1)[:, None]
            nearest = np.partition(squared, _NEIGHBOUR - 1, axis=1)[:, _NEIGHBOUR - 1]
            found[start : start + _BLOCK] = np.sqrt(np.maximum(nearest, 0.0))
        return found

    def state(self) -> dict[str, FloatArray]:
        """The references as plain arrays."""
        if self.references_ is None or self.spread_ is None or self.ordinary_ is None:
            raise NotFittedError("familiarity has no references yet: call fit first")
        return {
            "references": self.references_,
            "spread": self.spread_,
            "ordinary": np.array(self.ordinary_),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`."""
        built = cls()
        built.references_, built.spread_ = state["references"], state["spread"]
        built.ordinary_ = float(state["ordinary"])
        return built
