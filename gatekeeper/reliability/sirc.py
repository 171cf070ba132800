"""Feature norm, and SIRC: the softmax score lowered where the features are unusually short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import special

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

# ln of the smallest positive double: what 1 − p counts as where a probability is exactly 1.
_LEAST_LOG = float(np.log(np.finfo(np.float64).tiny))


class FeatureNorm:
    """Sum of the absolute features: images that a network knows excite it more."""

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """Learn nothing; the arguments are checked as for any predictor.

        Args:
            evidence: B looks with features, B at least 1.
            labels: True class of each look, shape (B,), integers in 0…K−1.

        Raises:
            InputError: no features, B is 0, shapes differ, a label is no class, or a feature is
                not finite.
        """
        label_array(labels, n=len(self.score(evidence)), n_classes=logits_array(evidence).shape[1])
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Scores of B looks: shape (B,), at least 0, higher is more reliable.

        Raises:
            InputError: no features, or a feature is not finite.
        """
        return feature_norm(feature_array(evidence, reader="the feature norm"))


class Sirc:
    """Doubt of the softmax, raised by short features: −ln[(1 − max p) (1 + e^(−b (‖f‖₁ − a)))].

    For ordinary features the second factor is 1 and the order is that of the largest softmax
    probability; far below them doubt grows exponentially. a lies three standard deviations below
    the mean feature norm of the fit, b is one over that deviation. The logarithm keeps the order
    of the paper's product and keeps apart what would round to the same number.

    Attributes:
        threshold_: a.
        sharpness_: b, above 0.

    Source:
        Xia & Bouganis 2022, "Augmenting softmax information for selective classification with
        out-of-distribution data" (arXiv:2207.07506), with S₁ the largest softmax
        probability and S₂ the L1 norm. Deviates in the logarithm.
    """

    threshold_: float
    sharpness_: float

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """Learn what feature norms are ordinary.

        Args:
            evidence: B looks with features, B at least 2.
            labels: True class of each look, shape (B,), integers in 0…K−1; checked, not used.

        Raises:
            InputError: no features, shapes differ, a label is no class, a value is not finite, or
                all feature norms are equal.
        """
        norms = feature_norm(feature_array(evidence, reader="SIRC"))
        label_array(labels, n=len(norms), n_classes=logits_array(evidence).shape[1])
        spread = float(norms.std())
        if not spread > 1e-12 * float(norms.max(initial=0.0)):
            raise InputError(
                f"SIRC needs feature norms that vary, got {len(norms)} looks whose norms are "
                "all equal; use a layer that is not normalised"
            )
        self.threshold_ = float(norms.mean()) - 3.0 * spread
        self.sharpness_ = 1.0 / spread
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Scores of B looks.

        Args:
            evidence: B looks with features; B may be 0.

        Returns:
            Shape (B,), higher is more reliable; at most 709, where a probability is exactly 1.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: no features, or a logit or feature is not finite.
        """
        threshold, sharpness = self._fitted()
        norms = feature_norm(feature_array(evidence, reader="SIRC"))
        short = np.logaddexp(0.0, -sharpness * (norms - threshold))
        return -_log_doubt(logits_array(evidence)) - short

    def state(self) -> dict[str, FloatArray]:
        """Both parameters as plain arrays.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        threshold, sharpness = self._fitted()
        return {"threshold": np.array(threshold), "sharpness": np.array(sharpness)}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: not the arrays that :meth:`state` gives.
        """
        arrays = state_arrays(state, shapes={"threshold": "()", "sharpness": "()"})
        if arrays["sharpness"] <= 0.0:
            raise InputError(f"expected a positive sharpness, got {float(arrays['sharpness']):g}")
        built = cls()
        built.threshold_ = float(arrays["threshold"])
        built.sharpness_ = float(arrays["sharpness"])
        return built

    def _fitted(self) -> tuple[float, float]:
        if not hasattr(self, "sharpness_"):
            raise NotFittedError("this Sirc score has seen no features yet: call fit first")
        return self.threshold_, self.sharpness_


def feature_norm(features: Float64Array) -> Float64Array:
    """‖f‖₁ of each row, shape (B,), at least 0."""
    return np.abs(features).sum(axis=1)  # type: ignore[no-any-return]


def _log_doubt(logits: Float64Array) -> Float64Array:
    """ln(1 − max p), shape (B,), from the other classes, so that a small doubt keeps its digits."""
    log_p = special.log_softmax(logits, axis=1)
    others = np.array(log_p)
    others[np.arange(len(log_p)), np.argmax(log_p, axis=1)] = -np.inf
    return np.maximum(special.logsumexp(others, axis=1), _LEAST_LOG)  # type: ignore[no-any-return]
