"""Single scores read off the logits, as reliability predictors that need no training.

All are oriented: higher is more reliable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import special

from gatekeeper.errors import InputError
from gatekeeper.protocols import Evidence
from gatekeeper.reliability.inputs import Float64Array, label_array, logits_array
from gatekeeper.types import FloatArray, IntArray

_GEN_POWER = 0.1
_GEN_CLASSES = 100


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
        logits = self._logits(evidence)
        label_array(labels, n=len(logits), n_classes=logits.shape[1])
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
        return logits_array(evidence)


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


def gen(logits: Float64Array) -> Float64Array:
    """Minus the generalised entropy Σ pᵞ (1 − p)ᵞ, γ = 0.1, of the 100 likeliest classes.

    The small power weighs the many unlikely classes up: it reads how far the tail is from empty.

    Args:
        logits: Shape (B, K), logits or log-probabilities.

    Returns:
        Shape (B,), in [−min(K, 100) / 4⁰·¹, 0]; 0 where one class has probability 1.

    Source:
        Liu, Lochman & Zach 2023, "GEN: Pushing the limits of softmax-based out-of-distribution
        detection" (CVPR), with their γ and number of classes.
    """
    probabilities = special.softmax(logits, axis=1)
    spread = np.sort(probabilities * _complements(probabilities), axis=1)
    # The terms rise and fall with p (1 − p): the likeliest 100 classes have the 100 largest.
    return -np.power(spread[:, -_GEN_CLASSES:], _GEN_POWER).sum(axis=1)  # type: ignore[no-any-return]


def doctor(logits: Float64Array) -> Float64Array:
    """Minus the odds that two draws from the class probabilities differ: −(1 − g) / g, g = Σ p².

    Args:
        logits: Shape (B, K), logits or log-probabilities.

    Returns:
        Shape (B,), in [−(K − 1), 0].

    Source:
        Granese et al. 2021, "DOCTOR: A simple method for detecting misclassification errors"
        (arXiv:2106.02395), discriminator α. Their β orders as :func:`max_softmax` does.
    """
    probabilities = special.softmax(logits, axis=1)
    differ = (probabilities * _complements(probabilities)).sum(axis=1)
    return -differ / np.square(probabilities).sum(axis=1)  # type: ignore[no-any-return]


def _complements(probabilities: Float64Array) -> Float64Array:
    """1 − p, shape (B, K); the likeliest class's is summed from the others, to keep its digits."""
    complements = 1.0 - probabilities
    rows, answers = np.arange(len(probabilities)), np.argmax(probabilities, axis=1)
    others = probabilities.copy()
    others[rows, answers] = 0.0
    complements[rows, answers] = others.sum(axis=1)
    return complements


SINGLE_SCORES: dict[str, SingleScore] = {
    "doctor": SingleScore("doctor", doctor),
    "energy": SingleScore("energy", energy, needs_logits=True),
    "entropy": SingleScore("entropy", entropy),
    "gen": SingleScore("gen", gen),
    "margin": SingleScore("margin", margin),
    "max_logit": SingleScore("max_logit", max_logit, needs_logits=True),
    "max_softmax": SingleScore("max_softmax", max_softmax),
}
