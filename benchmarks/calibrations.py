"""Ways from an answer to its reliability that are compared; ours is one place to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from benchmarks.ours import OURS
from gatekeeper.calibrators import CALIBRATORS, TemperatureScaler, VectorScaler, calibrator
from gatekeeper.mlp import log_softmax
from gatekeeper.protocols import Evidence
from gatekeeper.signals import N_SCALARS
from gatekeeper.types import BoolArray, FloatArray, IntArray

OUR_CALIBRATOR = "shift_aware"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What calibrators learn from and are judged on; N rows.

    Attributes:
        scores: Our predictor's log-odds, shape (N,).
        evidence: The looks.
        labels: True class of each, shape (N,).
        clean: Whether the image was clean, shape (N,).
    """

    scores: FloatArray
    evidence: Evidence
    labels: IntArray
    clean: BoolArray

    @property
    def correct(self) -> BoolArray:
        """Whether each answer is right, shape (N,)."""
        return np.asarray(self.evidence.labels == self.labels)


class Calibration(Protocol):
    """Learns from some answers and says the reliability of others."""

    def __call__(self, learn: Answers, judge: Answers) -> FloatArray:
        """Shape (N,), in [0, 1], of the answers to be judged."""
        ...


def our_context(evidence: Evidence) -> FloatArray:
    """What our calibrator is told about each look besides its score, shape (N, C)."""
    return np.asarray(evidence.signals[:, :N_SCALARS], dtype=np.float64)


def ours(learn: Answers, judge: Answers) -> FloatArray:
    """Our calibrator on our score, told the signals."""
    made = calibrator(OUR_CALIBRATOR).fit(
        learn.scores, learn.correct, context=our_context(learn.evidence)
    )
    return made.reliability(judge.scores, context=our_context(judge.evidence))


def context_free(name: str) -> Calibration:
    """A calibrator of that name on our score (as a probability), told nothing else."""

    def calibrate(learn: Answers, judge: Answers) -> FloatArray:
        made = calibrator(name).fit(special.expit(learn.scores), learn.correct)
        return made.reliability(special.expit(judge.scores))

    return calibrate


def temperature(learn: Answers, judge: Answers) -> FloatArray:
    """Temperature scaling on clean looks, as usual."""
    return _scaled(TemperatureScaler(), learn, learn.clean, judge)


def vector(learn: Answers, judge: Answers) -> FloatArray:
    """Vector scaling on clean looks; the probability that it gives to the classifier's answer."""
    return _scaled(VectorScaler(), learn, learn.clean, judge)


def perturb_then_calibrate(learn: Answers, judge: Answers) -> FloatArray:
    """Temperature scaling on corrupted looks.

    Source:
        Tomani et al. 2021, "Post-hoc uncertainty calibration for domain drift scenarios"
        (arXiv:2012.10988). Deviates in the corruptions, which are those of the study.
    """
    return _scaled(TemperatureScaler(), learn, ~learn.clean, judge)


def raw_softmax(learn: Answers, judge: Answers) -> FloatArray:
    """The largest softmax probability as it is."""
    del learn
    return np.exp(log_softmax(judge.evidence.logits.astype(np.float64)).max(axis=1))


def scikit_isotonic(learn: Answers, judge: Answers) -> FloatArray:
    """scikit-learn's isotonic regression on our score."""
    made = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    made.fit(learn.scores, learn.correct.astype(np.float64))
    return np.asarray(made.predict(judge.scores))


def scikit_sigmoid(learn: Answers, judge: Answers) -> FloatArray:
    """scikit-learn's logistic regression on our score, next to unpenalised."""
    made = LogisticRegression(C=1e6, max_iter=1000).fit(learn.scores[:, None], learn.correct)
    return np.asarray(made.predict_proba(judge.scores[:, None])[:, 1])


def _scaled(
    scaler: TemperatureScaler | VectorScaler, learn: Answers, rows: BoolArray, judge: Answers
) -> FloatArray:
    scaler.fit(learn.evidence.logits[rows], learn.labels[rows])
    probabilities = scaler.probabilities(judge.evidence.logits)
    # Class scaling may prefer another class: judged is the answer that the classifier gave.
    return np.asarray(probabilities[np.arange(len(probabilities)), judge.evidence.labels])


CALIBRATIONS: Mapping[str, Calibration] = {
    OURS: ours,
    **{name: context_free(name) for name in sorted(CALIBRATORS)},
    "temperature": temperature,
    "vector": vector,
    "perturb then calibrate": perturb_then_calibrate,
    "max_softmax": raw_softmax,
    "scikit-learn isotonic": scikit_isotonic,
    "scikit-learn sigmoid": scikit_sigmoid,
}
"""Name -> how it gets to a reliability."""
