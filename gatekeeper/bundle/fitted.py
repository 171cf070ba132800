"""A fitted gate in memory: what decides, and what the certificate speaks about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatekeeper.calibrators import CALIBRATORS
from gatekeeper.classifiers import build_classifier
from gatekeeper.gate import Gate
from gatekeeper.monitoring import AccuracyEstimator, ConditionsTest
from gatekeeper.protocols import (
    Calibrator,
    Classifier,
    Evidence,
    ReliabilityPredictor,
    Restorer,
)
from gatekeeper.routing import Arbiter, Router, planned_attempts
from gatekeeper.signals import N_SCALARS
from gatekeeper.signals.reasons import reasons
from gatekeeper.types import FloatArray, StrArray

SIGNAL_READERS = frozenset({"shift_aware"})
"""Calibrators that read the image's signals as context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSpec:
    """How to rebuild the classifier: kind, options, and the option that names its weights.

    Attributes:
        kind: ``timm``, ``module``, ``onnx`` or ``remote``.
        options: Arguments of that kind's class, JSON-ready.
    """

    kind: str
    options: Mapping[str, Any]

    @property
    def weights_option(self) -> str:
        """Which option holds the path of the weights."""
        return "path" if self.kind == "onnx" else "checkpoint"

    def build(self, *, device: str | None = None) -> Classifier:
        """The classifier itself; ``device`` applies where the kind knows devices."""
        options = dict(self.options)
        if device is not None and self.kind not in ("onnx", "remote"):
            options["device"] = device
        return build_classifier(self.kind, **options)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SecondOpinion:
    """A classifier of the gate's own that the predictors hear, too.

    Attributes:
        spec: How to rebuild it.
        classifier: Names the same classes.
    """

    spec: ClassifierSpec
    classifier: Classifier


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedGate:
    """Everything that decides, fitted.

    Attributes:
        name: Name of the recipe; the registry knows the gate as ``gate-<name>``.
        seed: The run's seed.
        image_size: Height and width that images are brought to before anything looks at them.
        classifier_spec: How to rebuild the classifier.
        restorers: By name.
        router: Which restorer fits an image.
        predictors: ``"raw"`` and ``"restored"``.
        views: Views that the classifier is asked about at every look, for the predictors' probes.
        calibrators: ``"raw"``, ``"restored"`` and ``"final"``; ``"restored/NAME"`` where a restorer
            has one of its own.
        gate: The policy's thresholds and margin.
        conditions: Flags windows of traffic unlike that of *certify*.
        accuracy: Estimates accuracy and risk of a window without labels; None where *calibrate* had
            one kind of image only, and in bundles of before there was one.
        symptom_limits: Code of a symptom -> strength that clean images of this kind reach, too;
            only what is stronger is told.
        certificate: Target, level, conditions, counts, splits and verdict, JSON-ready.
        second_opinion: A network of the gate's own, for the predictors' probes, or None.
        arbiter: Which restorers are tried on an image, in which order; None where it is the one
            that the router names.
    """

    name: str
    seed: int
    image_size: tuple[int, int]
    classifier_spec: ClassifierSpec
    classifier: Classifier
    restorers: Mapping[str, Restorer]
    router: Router
    predictors: Mapping[str, ReliabilityPredictor]
    views: tuple[str, ...]
    calibrators: Mapping[str, Calibrator]
    gate: Gate
    conditions: ConditionsTest
    accuracy: AccuracyEstimator | None
    symptom_limits: Mapping[str, float]
    certificate: Mapping[str, Any]
    second_opinion: SecondOpinion | None = None
    arbiter: Arbiter | None = None

    @property
    def extended(self) -> bool:
        """Whether it needs what gatekeepers of schema version 2 do not know."""
        return self.arbiter is not None or self.second_opinion is not None

    @property
    def second(self) -> Classifier | None:
        """The second opinion's classifier, or None."""
        return None if self.second_opinion is None else self.second_opinion.classifier

    def raw_reliability(self, evidence: Evidence) -> FloatArray:
        """Calibrated reliability of raw looks, shape (B,)."""
        calibrator = self.calibrators["raw"]
        score = self.predictors["raw"].score(evidence)
        return calibrator.reliability(score, context=raw_context(calibrator, evidence))

    def restored_reliability(self, evidence: Evidence, raw: FloatArray) -> FloatArray:
        """Calibrated reliability of restored looks, shape (B,); ``raw`` is that of their first."""
        score = self.predictors["restored"].score(evidence)
        return restored_reliability(self.calibrators, score, evidence, raw)

    def final_reliability(self, kept: FloatArray, keep_restored: FloatArray) -> FloatArray:
        """The number that is returned, shape (B,), from the kept attempt's own reliability."""
        return self.calibrators["final"].reliability(
            log_odds(kept), context=np.asarray(keep_restored, dtype=np.float64)[:, None]
        )

    def symptoms(self, evidence: Evidence) -> list[tuple[str, ...]]:
        """What is wrong with each image, for people, worst first; one tuple per raw look."""
        return [
            tuple(
                symptom.text
                for symptom in reasons(row)
                if symptom.strength > self.symptom_limits.get(symptom.code, 0.0)
            )
            for row in evidence.signals
        ]

    def plan(self, evidence: Evidence) -> StrArray:
        """Names of the restorers to try after each raw look, in order, then "", shape (B, A)."""
        return planned_attempts(self.router, self.arbiter, evidence)


def log_odds(reliability: FloatArray) -> FloatArray:
    """log(p / (1 − p)), with p kept a millionth away from 0 and 1."""
    kept = np.clip(reliability, 1e-6, 1.0 - 1e-6)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def calibrator_name(calibrator: Calibrator) -> str:
    """The name under which :data:`gatekeeper.calibrators.CALIBRATORS` knows its class."""
    return next(name for name, kind in CALIBRATORS.items() if type(calibrator) is kind)


def raw_context(calibrator: Calibrator, evidence: Evidence) -> FloatArray | None:
    """What the raw calibrator knows beside the score: the signals where it is shift-aware."""
    return _signals(evidence) if calibrator_name(calibrator) in SIGNAL_READERS else None


def restored_context(
    calibrator: Calibrator, evidence: Evidence, raw_reliability: FloatArray
) -> FloatArray:
    """What the restored calibrator knows beside the score, shape (B, 1 or more).

    The first look's log-odds, and the signals of the restored image where it is shift-aware.
    """
    first = log_odds(raw_reliability)[:, None]
    if calibrator_name(calibrator) not in SIGNAL_READERS:
        return first
    return np.concatenate([first, _signals(evidence)], axis=1)


def restored_reliability(
    calibrators: Mapping[str, Calibrator], scores: FloatArray, evidence: Evidence, raw: FloatArray
) -> FloatArray:
    """Calibrated reliability of restored looks, by the calibrator of each one's restorer.

    Args:
        calibrators: ``"restored"``, and ``"restored/NAME"`` for restorers with one of their own.
        scores: The restored predictor's score of each look, shape (B,).
        evidence: The looks, B rows.
        raw: Reliability of the first look at each image, shape (B,).
    """
    own = {name: f"restored/{name}" for name in set(evidence.restorer.tolist())}
    keys = {name: key for name, key in own.items() if key in calibrators}
    pooled = calibrators["restored"]
    found = pooled.reliability(scores, context=restored_context(pooled, evidence, raw))
    for name, key in keys.items():
        rows = np.flatnonzero(evidence.restorer == name)
        context = restored_context(calibrators[key], evidence.take(rows), raw[rows])
        found[rows] = calibrators[key].reliability(scores[rows], context=context)
    return found


def _signals(evidence: Evidence) -> FloatArray:
    return evidence.signals[:, :N_SCALARS].astype(np.float64)
