"""Test-time augmentation: do changed views of the image keep the answer?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import special

from gatekeeper.protocols import Evidence
from gatekeeper.reliability.inputs import Float64Array, label_array, logits_array
from gatekeeper.reliability.probe_layout import view_log_probabilities
from gatekeeper.types import FloatArray, IntArray

# A view's log-probability below this counts as this, so that one view that rules a class out
# altogether does not make a look infinitely bad.
_FLOOR = -30.0


@dataclass(frozen=True, slots=True)
class ViewScore:
    """One number per look, from its logits and its probes; it learns nothing.

    Attributes:
        name: Its key in ``VIEW_SCORES``.
        measure: (B, K) raw logits and (B, V, K) log-probabilities of the views -> (B,) scores.
    """

    name: str
    measure: Callable[[Float64Array, Float64Array], Float64Array]

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """Learn nothing; the arguments are checked as for any predictor.

        Args:
            evidence: B looks with probes, B at least 1.
            labels: True class of each look, shape (B,), integers in 0…K−1.

        Raises:
            InputError: B is 0, shapes differ, a label is no class, or as :meth:`score`.
        """
        label_array(labels, n=len(self.score(evidence)), n_classes=evidence.logits.shape[1])
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Scores of B looks.

        Args:
            evidence: B looks with probes as in ``probe_layout``; B may be 0.

        Returns:
            Shape (B,), float64, higher is more reliable.

        Raises:
            InputError: a logit is not finite, there are no probes, or they are not laid out as
                ``probe_layout`` says.
        """
        logits = logits_array(evidence)
        return self.measure(logits, view_log_probabilities(evidence, reader=self.name))


def view_agreement(logits: Float64Array, views: Float64Array) -> Float64Array:
    """Mean probability that the views give to the raw answer.

    It is one minus the expected share of views that disagree, when each draws its class from its
    probabilities.

    Args:
        logits: Shape (B, K), of the image itself.
        views: Shape (B, V, K), log-probabilities.

    Returns:
        Shape (B,), in [0, 1].

    Source:
        Bahat & Shakhnarovich 2020, "Classification confidence estimation with test-time
        data-augmentation" (arXiv:2006.16705), whose idea it is to ask changed views. The plain mean
        is ours.
    """
    answers = np.argmax(logits, axis=1)[:, None, None]
    given = np.take_along_axis(views, answers, axis=2)[:, :, 0]
    return np.minimum(np.exp(given), 1.0).mean(axis=1)  # type: ignore[no-any-return]


def view_divergence(logits: Float64Array, views: Float64Array) -> Float64Array:
    """Minus the mean Kullback–Leibler divergence of the views from the raw class probabilities.

    Args:
        logits: Shape (B, K), of the image itself, logits or log-probabilities.
        views: Shape (B, V, K), log-probabilities; below −30 they count as −30.

    Returns:
        Shape (B,), nats, in [−30, 0]; 0 where no view changes anything.
    """
    raw = special.log_softmax(logits, axis=1)[:, None, :]
    gap = np.maximum(raw, _FLOOR) - np.maximum(views, _FLOOR)
    divergence = (np.exp(raw) * gap).sum(axis=2).mean(axis=1)
    return -np.maximum(divergence, 0.0)  # type: ignore[no-any-return]


VIEW_SCORES: dict[str, ViewScore] = {
    "view_agreement": ViewScore("view_agreement", view_agreement),
    "view_divergence": ViewScore("view_divergence", view_divergence),
}
