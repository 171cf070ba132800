"""A fitted gate, and the same as data on disk.

A bundle is a directory: ``gate.json`` (policy, conditions, certificate, identities), safetensors,
the classifier's own file, and ``MANIFEST.sha256``. Loading verifies every hash, rebuilds the
classifier, and refuses one that is not the one the certificate speaks about. Nothing is unpickled.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save as tensor_bytes

from gatekeeper.calibrators import CALIBRATORS
from gatekeeper.classifiers import build_classifier
from gatekeeper.errors import BundleError, GatekeeperError, InputError
from gatekeeper.gate import Gate
from gatekeeper.manifest import verify_manifest, write_manifest
from gatekeeper.monitoring import AccuracyEstimator, ConditionsTest
from gatekeeper.protocols import (
    Calibrator,
    Classifier,
    Evidence,
    ReliabilityPredictor,
    Restorer,
    WeightedRestorer,
)
from gatekeeper.reliability import name_of_predictor, predictor_from_state, state_of_predictor
from gatekeeper.restorers import RESTORERS, rebuilt_restorer
from gatekeeper.routing import Arbiter, Router, planned_attempts
from gatekeeper.signals import N_SCALARS
from gatekeeper.signals.reasons import reasons
from gatekeeper.types import FloatArray, StrArray
from gatekeeper.views import check_views

SCHEMA_VERSION = 2

EXTENDED_VERSION = 3
"""Of a bundle with an arbiter or a second opinion: a gatekeeper that knows neither would decide
otherwise, and unseen."""

SIGNAL_READERS = frozenset({"shift_aware"})
"""Calibrators that read the image's signals as context."""

GATE_FILE = "gate.json"
_ARRAYS_FILE = "gate.safetensors"
_SECOND = "second_opinion"


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


def raw_context(calibrator: Calibrator, evidence: Evidence) -> FloatArray | None:
    """What the raw calibrator knows beside the score: the signals where it is shift-aware."""
    return _signals(evidence) if _name_of(calibrator) in SIGNAL_READERS else None


def restored_context(
    calibrator: Calibrator, evidence: Evidence, raw_reliability: FloatArray
) -> FloatArray:
    """What the restored calibrator knows beside the score, shape (B, 1 or more).

    The first look's log-odds, and the signals of the restored image where it is shift-aware.
    """
    first = log_odds(raw_reliability)[:, None]
    if _name_of(calibrator) not in SIGNAL_READERS:
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


def save_bundle(
    fitted: FittedGate, directory: Path, *, extra: Mapping[str, bytes] | None = None
) -> str:
    """Write a bundle.

    Args:
        fitted: The gate.
        directory: Replaced as a whole.
        extra: Further files by name, such as the golden set; the manifest covers them.

    Returns:
        Identity of the bundle (sha256 of its manifest).
    """
    unfinished = directory.with_name(f"{directory.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    spec = _with_own_weights(fitted.classifier_spec, unfinished, "classifier")
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for prefix, part in _stateful(fitted).items():
        arrays |= {f"{prefix}/{name}": np.asarray(a, order="C") for name, a in part.items()}
    # Bytes, because safetensors' own writer makes files that only their owner can read.
    (unfinished / _ARRAYS_FILE).write_bytes(save(arrays))
    body = {
        "schema_version": EXTENDED_VERSION if fitted.extended else SCHEMA_VERSION,
        "name": fitted.name,
        "seed": fitted.seed,
        "image_size": list(fitted.image_size),
        "classifier": {
            "kind": spec.kind,
            "options": dict(spec.options),
            "model_id": fitted.classifier.model_id,
            "digest": fitted.classifier.digest,
            "class_names": list(fitted.classifier.class_names),
        },
        "policy": asdict(fitted.gate),
        "views": list(fitted.views),
        "predictors": {
            key: name_of_predictor(value) for key, value in sorted(fitted.predictors.items())
        },
        "calibrators": {key: _name_of(value) for key, value in sorted(fitted.calibrators.items())},
        "restorer_of": fitted.router.restorer_of,
        "symptom_limits": dict(sorted(fitted.symptom_limits.items())),
        "restorers": {
            name: {"digest": restorer.digest, **_kept(name, restorer, unfinished)}
            for name, restorer in sorted(fitted.restorers.items())
        },
        "certificate": dict(fitted.certificate),
    }
    if fitted.second_opinion is not None:
        own = _with_own_weights(fitted.second_opinion.spec, unfinished, _SECOND)
        body[_SECOND] = {
            "kind": own.kind,
            "options": dict(own.options),
            "digest": fitted.second_opinion.classifier.digest,
        }
    if fitted.arbiter is not None:
        body["arbiter"] = fitted.arbiter.config()
    text = json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (unfinished / GATE_FILE).write_text(text + "\n", encoding="utf-8")
    for name, content in (extra or {}).items():
        (unfinished / name).write_bytes(content)
    identity = write_manifest(unfinished)
    shutil.rmtree(directory, ignore_errors=True)
    unfinished.replace(directory)
    return identity


def _stateful(fitted: FittedGate) -> dict[str, dict[str, FloatArray]]:
    parts = {
        f"predictor/{key}": state_of_predictor(value) for key, value in fitted.predictors.items()
    }
    parts |= {f"calibrator/{key}": value.state() for key, value in fitted.calibrators.items()}
    if fitted.accuracy is not None:
        parts["accuracy"] = fitted.accuracy.state()
    if fitted.arbiter is not None:
        parts["arbiter"] = fitted.arbiter.state()
    return parts | {"router": fitted.router.state(), "conditions": fitted.conditions.state()}


def _with_own_weights(spec: ClassifierSpec, directory: Path, stem: str) -> ClassifierSpec:
    """The weights travel with the bundle, so that it can be served anywhere."""
    weights = spec.options.get(spec.weights_option)
    if weights is None:
        return spec
    name = f"{stem}{Path(weights).suffix}"
    shutil.copyfile(weights, directory / name)
    return replace(spec, options={**spec.options, spec.weights_option: name})


def _name_of(calibrator: Calibrator) -> str:
    return next(name for name, kind in CALIBRATORS.items() if type(calibrator) is kind)


def _kept(name: str, restorer: Restorer, directory: Path) -> dict[str, Any]:
    """Write a restorer's weights, where it has any; what the gate file says about them."""
    if not isinstance(restorer, WeightedRestorer):
        return {}
    path = _weights_of(name, directory)
    if path.exists():
        raise InputError(
            f"expected a restorer's name that is none of the bundle's own files, got {name!r}: "
            "rename it in the recipe"
        )
    path.write_bytes(tensor_bytes(restorer.state()))
    return {"method": restorer.name, "config": restorer.config()}


def _weights_of(name: str, directory: Path) -> Path:
    return directory / f"{Path(name).name}.safetensors"


def load_bundle(directory: Path, *, device: str | None = None) -> tuple[FittedGate, str]:
    """Verify and read a bundle.

    Args:
        directory: The bundle.
        device: Where classifier and restorers compute; None takes CUDA where there is any.

    Returns:
        The gate and the bundle's identity.

    Raises:
        BundleError: a file is changed, missing, extra or damaged, the schema is newer than this
            version reads, or the classifier or a restorer is not the one that was calibrated.
    """
    identity = verify_manifest(directory)
    body = _read_body(directory)
    try:
        return _rebuild(body, directory, device), identity
    except BundleError:
        raise
    except (
        GatekeeperError,
        AttributeError,
        LookupError,
        OSError,
        TypeError,
        ValueError,
        SafetensorError,
    ) as error:
        raise BundleError(
            f"the bundle {directory} cannot be rebuilt ({type(error).__name__}: {error}): "
            "was it written by another version?"
        ) from error


def _read_body(directory: Path) -> dict[str, Any]:
    try:
        body = json.loads((directory / GATE_FILE).read_text(encoding="utf-8"))
        version = body["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{GATE_FILE} in {directory} cannot be read: {error}") from error
    if version not in (SCHEMA_VERSION, EXTENDED_VERSION):
        raise BundleError(
            f"the bundle {directory} has schema version {version}, this gatekeeper reads "
            f"{SCHEMA_VERSION} and {EXTENDED_VERSION}: install the gatekeeper that wrote it, or "
            "fit again"
        )
    return cast("dict[str, Any]", body)


def _rebuild(body: dict[str, Any], directory: Path, device: str | None) -> FittedGate:
    spec, classifier = _rebuild_classifier(body["classifier"], "classifier", directory, device)
    second = None
    if _SECOND in body:
        own = _rebuild_classifier(body[_SECOND], "second opinion", directory, device)
        second = SecondOpinion(spec=own[0], classifier=own[1])
    states: dict[str, dict[str, FloatArray]] = {}
    for key, array in load_file(directory / _ARRAYS_FILE).items():
        part, _, name = key.rpartition("/")
        states.setdefault(part, {})[name] = array
    restorers = {}
    for name, record in body["restorers"].items():
        restorers[name] = _rebuild_restorer(name, record, directory, device)
        _require(restorers[name].digest == record["digest"], f"restorer {name}", directory)
    return FittedGate(
        name=body["name"],
        seed=int(body["seed"]),
        image_size=(int(body["image_size"][0]), int(body["image_size"][1])),
        classifier_spec=spec,
        classifier=classifier,
        restorers=restorers,
        router=Router.from_state(states["router"], body["restorer_of"]),
        predictors={
            key: predictor_from_state(kind, states.get(f"predictor/{key}", {}))
            for key, kind in body["predictors"].items()
        },
        views=check_views(body["views"]),
        calibrators={
            key: CALIBRATORS[kind].from_state(states[f"calibrator/{key}"])
            for key, kind in body["calibrators"].items()
        },
        gate=Gate(**body["policy"]),
        conditions=ConditionsTest.from_state(states["conditions"]),
        accuracy=AccuracyEstimator.from_state(states["accuracy"]) if "accuracy" in states else None,
        symptom_limits={str(code): float(limit) for code, limit in body["symptom_limits"].items()},
        certificate=body["certificate"],
        second_opinion=second,
        arbiter=Arbiter.from_state(states.get("arbiter", {}), body["arbiter"])
        if "arbiter" in body
        else None,
    )


def _rebuild_classifier(
    recorded: Mapping[str, Any], what: str, directory: Path, device: str | None
) -> tuple[ClassifierSpec, Classifier]:
    options = dict(recorded["options"])
    spec = ClassifierSpec(kind=recorded["kind"], options=options)
    if options.get(spec.weights_option) is not None:
        options[spec.weights_option] = str(directory / Path(options[spec.weights_option]).name)
    classifier = spec.build(device=device)
    _require(classifier.digest == recorded["digest"], what, directory)
    return spec, classifier


def _rebuild_restorer(
    name: str, record: Mapping[str, Any], directory: Path, device: str | None
) -> Restorer:
    if "config" not in record:
        return RESTORERS[name]()
    # Bundles of before several restorers had weights name no method: theirs is the name.
    return rebuilt_restorer(
        record.get("method", name),
        load_tensors(_weights_of(name, directory)),
        record["config"],
        device=device,
    )


def _require(same: bool, what: str, directory: Path) -> None:
    if not same:
        raise BundleError(
            f"the {what} in {directory} is not the one that was calibrated (its digest differs): "
            "its certificate does not hold for this one; fit again"
        )
