"""MaxLogit-pNorm: the largest logit of a row that is centred and divided by its p-norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.metrics.selective import aurc
from gatekeeper.protocols import Evidence
from gatekeeper.reliability.inputs import Float64Array, label_array, logits_array, state_arrays
from gatekeeper.reliability.scores import max_softmax
from gatekeeper.types import FloatArray, IntArray

EXPONENTS = tuple(range(1, 11))
"""The p that are tried."""


class MaxLogitPNorm:
    """max (z − mean z) / ‖z − mean z‖ₚ, with the p that orders best the looks it was fitted on.

    It repairs classifiers whose logits grow where they are wrong. Where no p has a smaller AURC
    than the largest softmax probability has, the score *is* that probability. So it is with two
    classes, where the centred and normalised logit is the same number, 2^(−1/p), for every look.

    Attributes:
        exponent_: The p, or 0 for the largest softmax probability.

    Source:
        Cattelan & Silva 2024, "How to fix a broken confidence estimator" (arXiv:2305.15508),
        section 4. Deviates: p is an integer of 1…10, ties between them go to the smaller.
    """

    exponent_: int

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """Choose p.

        Args:
            evidence: B looks, B at least 1.
            labels: True class of each look, shape (B,), integers in 0…K−1.

        Raises:
            InputError: B is 0, shapes differ, a label is no class, or as :meth:`score`.
        """
        logits = _finite_logits(evidence)
        truth = label_array(labels, n=len(logits), n_classes=logits.shape[1])
        correct = np.asarray(evidence.labels == truth)
        areas = [aurc(max_softmax(logits), correct)]
        if logits.shape[1] > 2:
            areas += [aurc(max_logit_pnorm(logits, exponent), correct) for exponent in EXPONENTS]
        self.exponent_ = (0, *EXPONENTS)[int(np.argmin(areas))]
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Scores of B looks.

        Args:
            evidence: B looks; B may be 0.

        Returns:
            Shape (B,), in [0, 1], higher is more reliable.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: fewer than two classes, or a logit (or log-probability) is not finite.
        """
        exponent = self._fitted()
        logits = _finite_logits(evidence)
        return max_logit_pnorm(logits, exponent) if exponent else max_softmax(logits)

    def state(self) -> dict[str, FloatArray]:
        """The chosen p as a plain array.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        return {"exponent": np.array(float(self._fitted()))}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: not the array that :meth:`state` gives.
        """
        exponent = float(state_arrays(state, shapes={"exponent": "()"})["exponent"])
        if exponent not in (0, *EXPONENTS):
            raise InputError(f"expected an exponent in 0…{EXPONENTS[-1]}, got {exponent:g}")
        built = cls()
        built.exponent_ = int(exponent)
        return built

    def _fitted(self) -> int:
        if not hasattr(self, "exponent_"):
            raise NotFittedError("this MaxLogitPNorm has chosen no exponent yet: call fit first")
        return self.exponent_


def max_logit_pnorm(logits: Float64Array, exponent: int) -> Float64Array:
    """Largest centred logit ÷ p-norm of the centred logits.

    Args:
        logits: Shape (B, K), logits or log-probabilities, finite.
        exponent: p, at least 1.

    Returns:
        Shape (B,), in [0, 1]; 0 where all logits tie.
    """
    centred = logits - logits.mean(axis=1, keepdims=True)
    largest = np.abs(centred).max(axis=1, keepdims=True)
    # Relative to the largest, so that no power overflows.
    shares = np.divide(centred, largest, out=np.zeros_like(centred), where=largest > 0.0)
    norm = np.power(np.abs(shares), exponent).sum(axis=1) ** (1.0 / exponent)
    top = shares.max(axis=1)
    return np.divide(top, norm, out=np.zeros_like(top), where=norm > 0.0)  # type: ignore[no-any-return]


def _finite_logits(evidence: Evidence) -> Float64Array:
    logits = logits_array(evidence)
    if not np.isfinite(logits).all():
        raise InputError(
            "the p-norm needs finite log-probabilities, got one of −inf (a probability of 0); use "
            "max_softmax for this classifier"
        )
    return logits
