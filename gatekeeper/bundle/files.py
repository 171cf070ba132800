"""A fitted gate as data on disk.

A bundle is a directory: ``gate.json`` (policy, conditions, certificate, identities), safetensors,
the classifier's own file, and ``MANIFEST.sha256``. Loading verifies every hash, rebuilds the
classifier, and refuses one that is not the one the certificate speaks about. Nothing is unpickled.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save as tensor_bytes

from gatekeeper.bundle.fitted import (
    ClassifierSpec,
    FittedGate,
    SecondOpinion,
    calibrator_name,
)
from gatekeeper.calibrators import CALIBRATORS
from gatekeeper.errors import BundleError, GatekeeperError, InputError
from gatekeeper.gate import Gate
from gatekeeper.manifest import verify_manifest, write_manifest
from gatekeeper.monitoring import AccuracyEstimator, ConditionsTest
from gatekeeper.protocols import (
    Classifier,
    Restorer,
    WeightedRestorer,
)
from gatekeeper.reliability import name_of_predictor, predictor_from_state, state_of_predictor
from gatekeeper.restorers import RESTORERS, rebuilt_restorer
from gatekeeper.routing import Arbiter, Router
from gatekeeper.types import FloatArray
from gatekeeper.views import check_views

SCHEMA_VERSION = 2
EXTENDED_VERSION = 3
"""Of a bundle with an arbiter or a second opinion: a gatekeeper that knows neither would decide
otherwise, and unseen."""

GATE_FILE = "gate.json"
_ARRAYS_FILE = "gate.safetensors"
_SECOND = "second_opinion"


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
        "calibrators": {
            key: calibrator_name(value) for key, value in sorted(fitted.calibrators.items())
        },
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
