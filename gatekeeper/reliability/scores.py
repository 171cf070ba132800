"""Single scores read off the logits, as reliability predictors that need no training.

All are oriented: higher is more reliable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import special

from gatekeeper.errors import InputError
from gatekeeper.protocols import Evidence
from gatekeeper.types import FloatArray, IntArray

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SingleScore:
    """One number per look, from its logits alone.

    Attributes:
        name: Its key in ``SINGLE_SCORES``.
        measure: (B, K) float64 logits -> (B,) scores.
        needs_logits: Whether it reads the size of logits, which log-probabilities have lost.
    """

    name: str
    measure: Callable[[Float64Array], Float64Array]
    needs_logits: bool = False

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """Learn nothing; the arguments are checked as for any predictor.

        Args:
            evidence: B looks, B at least 1.
            labels: True class of each look, shape (B,), integers in 0…K−1.

        Raises:
            InputError: B is 0, shapes differ, a label is no class, or as :meth:`score`.
        """
        if len(evidence) == 0:
            raise InputError("a predictor needs at least 1 look to learn from, got 0")
        n_classes = self._logits(evidence).shape[1]
        truth = np.asarray(labels)
        if truth.shape != (len(evidence),) or truth.dtype.kind not in "iu":
            raise InputError(
                f"labels must be integers of shape ({len(evidence)},), one per look, "
                f"got {truth.dtype} of shape {truth.shape}"
            )
        if truth.min() < 0 or truth.max() >= n_classes:
            raise InputError(
                f"labels must lie in 0…{n_classes - 1}, got {truth.min()} to {truth.max()}"
            )
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Scores of B looks.

        Args:
            evidence: B looks; B may be 0.

        Returns:
            Shape (B,), float64, higher is more reliable.

        Raises:
            InputError: fewer than two classes, a logit is NaN or infinite (of log-probabilities,
                −inf is a probability of 0 and allowed beside a finite one), or the score needs
                logits and got log-probabilities.
        """
        return self.measure(self._logits(evidence))

    def _logits(self, evidence: Evidence) -> Float64Array:
        if self.needs_logits and evidence.logits_kind == "log_probabilities":
            raise InputError(
                f"{self.name} needs logits, got log-probabilities: normalising has removed what "
                "it reads (the energy of any log-probabilities is 0); use max_softmax, margin or "
                "entropy for this classifier"
            )
        values = np.asarray(evidence.logits, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] < 2:
            raise InputError(f"logits must have shape (B, K) with K at least 2, got {values.shape}")
        good = np.isfinite(values)
        if evidence.logits_kind == "log_probabilities":
            good |= np.isneginf(values) & good.any(axis=1, keepdims=True)
        if not good.all():
            raise InputError(
                f"logits must be finite, got {np.count_nonzero(~good)} NaN or infinite of "
                f"{values.size}; look at the classifier"
            )
        return values


def max_softmax(logits: Float64Array) -> Float64Array:
    """Largest class probability (MSP).

    Args:
        logits: Shape (B, K), logits or log-probabilities.

    Returns:
        Shape (B,), in [1/K, 1].

    Source:
        Hendrycks & Gimpel 2017 (arXiv:1610.02136).
    """
    return special.softmax(logits, axis=1).max(axis=1)  # type: ignore[no-any-return]


def margin(logits: Float64Array) -> Float64Array:
    """Largest minus second largest class probability.

    Args:
        logits: Shape (B, K), logits or log-probabilities.

    Returns:
        Shape (B,), in [0, 1]; 0 where two classes tie for the answer.

    Source:
        Scheffer, Decomain & Wrobel 2001, "Active hidden Markov models for information extraction".
    """
    ordered = np.sort(special.softmax(logits, axis=1), axis=1)
    return ordered[:, -1] - ordered[:, -2]  # type: ignore[no-any-return]


def entropy(logits: Float64Array) -> Float64Array:
    """Minus the entropy of the class probabilities, so that higher is more reliable.

    Args:
        logits: Shape (B, K), logits or log-probabilities.

    Returns:
        Shape (B,), nats, in [−ln K, 0].
    """
    return -special.entr(special.softmax(logits, axis=1)).sum(axis=1)  # type: ignore[no-any-return]


def energy(logits: Float64Array) -> Float64Array:
    """Log-sum-exp of the logits: minus the free energy at temperature 1.

    Args:
        logits: Shape (B, K), logits.

    Returns:
        Shape (B,), unbounded.

    Source:
        Liu et al. 2020, eq. 4 (arXiv:2010.03759).
    """
    return special.logsumexp(logits, axis=1)  # type: ignore[no-any-return]


def max_logit(logits: Float64Array) -> Float64Array:
    """Largest logit.

    Args:
        logits: Shape (B, K), logits.

    Returns:
        Shape (B,), unbounded.

    Source:
        Hendrycks et al. 2022, section 3 (arXiv:1911.11132).
    """
    return logits.max(axis=1)  # type: ignore[no-any-return]


SINGLE_SCORES: dict[str, SingleScore] = {
    "energy": SingleScore("energy", energy, needs_logits=True),
    "entropy": SingleScore("entropy", entropy),
    "margin": SingleScore("margin", margin),
    "max_logit": SingleScore("max_logit", max_logit, needs_logits=True),
    "max_softmax": SingleScore("max_softmax", max_softmax),
}
