"""Log a fitted bundle: run, digests, artifacts, a pyfunc model, and a registered version."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata as distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gatekeeper.errors import InputError, TrackingError
from gatekeeper.tracking.registry import BUNDLE_TAG, CHALLENGER
from gatekeeper.tracking.store import TrackingStore

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient

_T = TypeVar("_T")
_DISTRIBUTION = "vision-gatekeeper"
_MODEL_CODE = Path(__file__).with_name("pyfunc_model.py")
# mlflow's own limits: 100 parameters and 1,000 metrics to a request, 36 characters to a digest.
_PARAMS_PER_BATCH = 100
_METRICS_PER_BATCH = 1000
_DIGEST_LENGTH = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedVersion:
    """What was logged, and under which names it is found again.

    Attributes:
        run_id: mlflow's id of the run.
        model_name: Name of the registered model.
        version: Its version, counted from 1.
        model_uri: ``models:/NAME/VERSION``; names this version for ever.
        experiment_id: mlflow's id of the experiment.
    """

    run_id: str
    model_name: str
    version: int
    model_uri: str
    experiment_id: str


def log_fit(
    store: TrackingStore,
    *,
    experiment: str,
    run_name: str,
    params: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    data_digests: Mapping[str, str],
    artifacts: Sequence[Path],
    bundle: Path,
    registered_name: str,
    metadata: Mapping[str, Any],
    example: bytes,
    requirements: Sequence[str] | None = None,
) -> LoggedVersion:
    """Log one fitted bundle and register it as the challenger.

    Args:
        store: Where to log.
        experiment: Name of the experiment; created where it is new.
        run_name: Name of the run.
        params: What the fit was told; values are written as text.
        metrics: What came out; finite numbers.
        tags: Text by key, set on the run and on the version.
        data_digests: sha256 of the image list of each split, by split.
        artifacts: Files or folders to keep with the run: report, summary, certificate.
        bundle: Directory of the bundle; its manifest is verified first.
        registered_name: Name of the registered model.
        metadata: JSON-ready data for the model's ``MLmodel`` file, such as the schema version.
        example: One encoded image; kept with the run as a request ready to be posted.
        requirements: pip requirements of the model; by default this package at its version.

    Returns:
        The run and the version, which now carries the alias ``challenger``.

    Raises:
        InputError: a metric is not finite, or an artifact does not exist.
        BundleError: the bundle does not match its manifest.
        TrackingError: the store refused, or this package is not installed and ``requirements``
            is None.
    """
    from gatekeeper.manifest import verify_manifest

    _check(metrics, artifacts)
    pinned = list(requirements) if requirements is not None else [_own_requirement()]
    digest = verify_manifest(bundle)
    tags = {**tags, BUNDLE_TAG: digest}
    experiment_id = store.experiment_id(experiment)
    with store.calls(f"log the run {run_name!r}"), store.activated():
        import mlflow

        client = store.client()
        with mlflow.start_run(
            experiment_id=experiment_id, run_name=run_name, tags=dict(tags), nested=True
        ) as run:
            run_id = run.info.run_id
            _log_numbers(client, run_id, params, metrics)
            _log_digests(client, run_id, data_digests)
            _log_files(client, run_id, artifacts, example)
            model = _log_model(bundle, metadata, pinned)
            version = _register(client, registered_name, model, run_id, tags)
    return LoggedVersion(
        run_id=run_id,
        model_name=registered_name,
        version=version,
        model_uri=f"models:/{registered_name}/{version}",
        experiment_id=experiment_id,
    )


def _check(metrics: Mapping[str, float], artifacts: Sequence[Path]) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise InputError(
                f"metric {name!r} must be a finite number, got {value}; leave it out where it is "
                f"not defined"
            )
    for path in artifacts:
        if not path.exists():
            raise InputError(f"the artifact {path} does not exist; write it before logging the fit")


def _own_requirement() -> str:
    try:
        return f"{_DISTRIBUTION}=={distributions.version(_DISTRIBUTION)}"
    except distributions.PackageNotFoundError as error:
        raise TrackingError(
            f"cannot state the model's requirements because {_DISTRIBUTION} is not installed; "
            f"install it (`make install`) or pass requirements"
        ) from error


def _log_numbers(
    client: MlflowClient, run_id: str, params: Mapping[str, object], metrics: Mapping[str, float]
) -> None:
    from mlflow.entities import Metric, Param

    now_ms = int(time.time() * 1000)
    for some in _batches([Param(k, str(v)) for k, v in params.items()], _PARAMS_PER_BATCH):
        client.log_batch(run_id, params=some, synchronous=True)
    numbers = [Metric(k, float(v), now_ms, 0) for k, v in metrics.items()]
    for each in _batches(numbers, _METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=each, synchronous=True)


def _batches(items: list[_T], size: int) -> Iterator[list[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _log_digests(client: MlflowClient, run_id: str, data_digests: Mapping[str, str]) -> None:
    """The splits as inputs of the run, by digest: images never enter the store."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(
                name=split,
                digest=digest[:_DIGEST_LENGTH],
                source_type="gatekeeper-split",
                source=f"sha256:{digest}",
            ),
            [InputTag("mlflow.data.context", split)],
        )
        for split, digest in data_digests.items()
    ]
    if inputs:
        client.log_inputs(run_id, inputs)
    client.log_dict(run_id, dict(data_digests), "data_digests.json")


def _log_files(
    client: MlflowClient, run_id: str, artifacts: Sequence[Path], example: bytes
) -> None:
    for path in artifacts:
        if path.is_dir():
            client.log_artifacts(run_id, str(path), path.name)
        else:
            client.log_artifact(run_id, str(path))
    row = {"image": base64.b64encode(example).decode("ascii")}
    client.log_dict(run_id, {"dataframe_records": [row]}, "example/invocations.json")


def _log_model(bundle: Path, metadata: Mapping[str, Any], requirements: list[str]) -> Any:  # noqa: ANN401  # mlflow's ModelInfo, whose path has moved before
    import mlflow.pyfunc

    # No input_example: mlflow would load and run the whole gate just to log it.
    return mlflow.pyfunc.log_model(
        name="gate",
        python_model=str(_MODEL_CODE),
        artifacts={"bundle": str(bundle.absolute())},
        signature=_signature(),
        pip_requirements=requirements,
        metadata=dict(metadata),
    )


def _signature() -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    columns = {
        "action": DataType.string,
        "reason": DataType.string,
        "label": DataType.long,
        "class_name": DataType.string,
        "reliability": DataType.double,
        "error": DataType.string,
    }
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema([ColSpec(kind, name, required=False) for name, kind in columns.items()]),
    )


def _register(
    client: MlflowClient,
    name: str,
    model: Any,  # noqa: ANN401  # as above
    run_id: str,
    tags: Mapping[str, str],
) -> int:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name, model.model_uri, run_id, tags=dict(tags), model_id=model.model_id
    ).version
    client.set_registered_model_alias(name, CHALLENGER, version)
    return int(version)
