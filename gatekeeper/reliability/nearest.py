"""Nearest-neighbour score: distance of the features to the k-th nearest that were fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.protocols import Evidence
from gatekeeper.reliability.inputs import (
    Float64Array,
    feature_array,
    label_array,
    logits_array,
    state_arrays,
)
from gatekeeper.types import FloatArray, IntArray

# Directions are kept as whole multiples of this. Then all products and sums of a dot product are
# exact in double precision, so its value does not depend on the order in which a matrix product
# adds, and with it not on the batch. Distances move by at most 3e-6 (F = 512).
_STEP = 2.0**-23
_BLOCK = 512


class NearestNeighbours:
    """Minus the distance to the k-th nearest feature direction of the fit.

    Features are divided by their length first, so distances lie in [0, 2]. Features that are all 0
    have no direction: they are kept at 0, at distance 1 from every direction.

    Args:
        neighbour: k, at least 1. A look of the fit itself counts as its own first neighbour.
        n_references: Most looks that are remembered; more than these are thinned out.
        seed: Of the choice of those.

    Attributes:
        references_: Shape (M, F), float32, the remembered directions.

    Source:
        Sun et al. 2022 (arXiv:2204.06507), algorithm 1. Deviates in k, there 50 of 50,000 looks.
    """

    references_: FloatArray

    def __init__(self, *, neighbour: int = 10, n_references: int = 5000, seed: int = 0) -> None:
        if neighbour < 1 or n_references < neighbour:
            raise InputError(
                f"expected 1 <= neighbour <= n_references, got {neighbour} and {n_references}"
            )
        self.neighbour = neighbour
        self.n_references = n_references
        self.seed = seed

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """Remember the directions of the features; labels are checked and not used.

        Args:
            evidence: B looks with features, B at least ``neighbour``.
            labels: True class of each look, shape (B,), integers in 0…K−1.

        Raises:
            InputError: no features, too few looks, shapes differ, a label is no class, or a
                feature is not finite.
        """
        features = feature_array(evidence, reader="the nearest-neighbour score")
        label_array(labels, n=len(features), n_classes=logits_array(evidence).shape[1])
        if len(features) < self.neighbour:
            raise InputError(
                f"expected at least {self.neighbour} looks, one per neighbour, got "
                f"{len(features)}; fit on more or ask for a nearer neighbour"
            )
        order = np.random.default_rng(self.seed).permutation(len(features))
        kept = np.sort(order[: self.n_references])
        self.references_ = _directions(features[kept]).astype(np.float32)
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Scores of B looks.

        Args:
            evidence: B looks with features of the F of fit; B may be 0.

        Returns:
            Shape (B,), in [−2, 0], higher is more reliable; a row depends on its own features
            alone, to the last bit.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: no features, another F, or a feature is not finite.
        """
        references = np.asarray(self._fitted(), dtype=np.float64)
        features = feature_array(
            evidence, reader="the nearest-neighbour score", width=references.shape[1]
        )
        lengths = np.square(references).sum(axis=1)
        found = np.empty(len(features))
        for start in range(0, len(features), _BLOCK):
            rows = _directions(features[start : start + _BLOCK])
            squared = np.square(rows).sum(axis=1)[:, None] + lengths - 2.0 * (rows @ references.T)
            nearest = np.partition(squared, self.neighbour - 1, axis=1)[:, self.neighbour - 1]
            found[start : start + _BLOCK] = np.sqrt(nearest)
        return -found

    def state(self) -> dict[str, FloatArray]:
        """The remembered directions and k as plain arrays.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        return {
            "references": self._fitted().copy(),
            "neighbour": np.array(float(self.neighbour)),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: not the arrays that :meth:`state` gives.
        """
        arrays = state_arrays(state, shapes={"references": "(M, F)", "neighbour": "()"})
        references = arrays["references"]
        built = cls(neighbour=int(arrays["neighbour"]), n_references=len(references))
        built.references_ = references.astype(np.float32)
        return built

    def _fitted(self) -> FloatArray:
        if not hasattr(self, "references_"):
            raise NotFittedError("this nearest-neighbour score remembers nothing: call fit first")
        return self.references_


def _directions(features: Float64Array) -> Float64Array:
    """Rows of length 1 (or 0), rounded to multiples of the step, shape (B, F)."""
    # Relative to the largest first, so that no square overflows or vanishes.
    largest = np.abs(features).max(axis=1, keepdims=True)
    shares = np.divide(features, largest, out=np.zeros_like(features), where=largest > 0.0)
    lengths = np.sqrt(np.square(shares).sum(axis=1, keepdims=True))
    directions = np.divide(shares, lengths, out=np.zeros_like(shares), where=lengths > 0.0)
    return np.asarray(np.rint(directions / _STEP) * _STEP)
