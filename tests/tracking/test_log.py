from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from gatekeeper.errors import BundleError, InputError, TrackingError
from gatekeeper.tracking import LoggedVersion, Registry, TrackingStore

LogBundle = Callable[..., LoggedVersion]


def _folder(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def test_a_run_keeps_what_it_was_told(
    store: TrackingStore, log_bundle: LogBundle, digests: dict[str, str], png: bytes
) -> None:
    many = {f"p{i}": i for i in range(205)}  # more than two of mlflow's batches
    logged = log_bundle("told", params=many, metrics={"aurc": 0.0125, "help:harm": 41.0})
    with store.calls("read"):
        run = store.client().get_run(logged.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "demo"
    assert run.info.experiment_id == logged.experiment_id
    assert run.data.params == {name: str(value) for name, value in many.items()}
    assert run.data.metrics == {"aurc": 0.0125, "help:harm": 41.0}
    assert run.data.tags["gate.classifier"] == "fake"
    inputs = {
        i.dataset.name: (i.dataset.digest, i.dataset.source) for i in run.inputs.dataset_inputs
    }
    assert inputs == {s: (d[:36], f"sha256:{d}") for s, d in digests.items()}
    files = _folder(run.info.artifact_uri)
    assert (files / "report.html").read_text() == "<p>fine</p>"
    assert json.loads((files / "data_digests.json").read_text()) == digests
    request = json.loads((files / "example" / "invocations.json").read_text())
    assert base64.b64decode(request["dataframe_records"][0]["image"]) == png


def test_everything_lies_under_home(
    store: TrackingStore, log_bundle: LogBundle, place: SimpleNamespace
) -> None:
    logged = log_bundle("lies")
    with store.calls("read"):
        run = store.client().get_run(logged.run_id)
        version = store.client().get_model_version_download_uri("lies", "1")
    for uri in (run.info.artifact_uri, version):
        assert _folder(uri).is_relative_to(place.home / "artifacts" / "gate-fake")
        assert _folder(uri).is_dir()
    assert (place.home / "mlflow.db").is_file()


def test_the_version_is_the_challenger_and_names_its_bundle(
    registry: Registry, log_bundle: LogBundle, make_bundle: Callable[[str], Path]
) -> None:
    bundle = make_bundle("named")
    first = log_bundle("named", bundle=bundle)
    second = log_bundle("named", bundle=bundle)
    assert (first.version, second.version) == (1, 2)
    assert second.model_uri == "models:/named/2"
    challenger = registry.resolve("models:/named@challenger")
    assert (challenger.version, challenger.aliases) == (2, ("challenger",))
    assert challenger.run_id == second.run_id
    manifest = hashlib.sha256((bundle / "MANIFEST.sha256").read_bytes()).hexdigest()
    assert challenger.tags["gatekeeper.bundle_sha256"] == manifest
    assert challenger.tags["gate.classifier"] == "fake"


def test_the_model_is_code_and_data_and_nothing_pickled(
    store: TrackingStore, log_bundle: LogBundle
) -> None:
    log_bundle("plain")
    with store.calls("read"):
        folder = _folder(store.client().get_model_version_download_uri("plain", "1"))
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    model = yaml.safe_load((folder / "MLmodel").read_text())
    flavour = model["flavors"]["python_function"]
    assert Path(flavour["model_code_path"]).name == "pyfunc_model.py"
    assert "python_model" not in flavour  # where mlflow would name a pickle
    assert {"pyfunc_model.py", "MLmodel"} <= files
    assert not [name for name in files if Path(name).suffix in {".pkl", ".pickle", ".joblib"}]
    for path in folder.rglob("*"):  # no pickle under another name: protocols 2 to 5 start so
        assert not path.is_file() or path.read_bytes()[:1] != b"\x80"
    assert model["metadata"] == {"schema": 1}
    assert json.loads(model["signature"]["inputs"]) == [
        {"type": "binary", "name": "image", "required": True}
    ]
    requirements = (folder / "requirements.txt").read_text().split()
    assert [line.split("=")[0] for line in requirements] == ["mlflow", "platformdirs>"]


@pytest.mark.filterwarnings("error")
def test_logging_is_silent(log_bundle: LogBundle, capfd: pytest.CaptureFixture[str]) -> None:
    log_bundle("silent")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_must_be_finite(log_bundle: LogBundle, value: float) -> None:
    with pytest.raises(InputError, match="metric 'ece' must be a finite number"):
        log_bundle("never", metrics={"ece": value})


def test_an_artifact_must_exist(log_bundle: LogBundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.html does not exist"):
        log_bundle("never", artifacts=[tmp_path / "nothing.html"])


def test_a_changed_bundle_is_not_logged(
    registry: Registry, log_bundle: LogBundle, make_bundle: Callable[[str], Path]
) -> None:
    bundle = make_bundle("honest")
    (bundle / "gate.json").write_text("changed")
    with pytest.raises(BundleError, match=r"gate\.json"):
        log_bundle("never", bundle=bundle)
    assert "never" not in registry.list_names()


def test_a_failed_run_says_so(store: TrackingStore, log_bundle: LogBundle) -> None:
    with pytest.raises(TrackingError, match="could not log the run 'broken'"):
        log_bundle("x", run_name="broken", metrics={"risk@cov90": 0.1})  # "@" is not allowed
    with store.calls("read"):
        experiment = store.experiment_id("gate/fake")
        runs = store.client().search_runs([experiment], "run_name = 'broken'")
    assert [run.info.status for run in runs] == ["FAILED"]


def test_requirements_default_to_this_package_at_its_version(
    log_bundle: LogBundle, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"9.9+{len(name)}")
    log_bundle("own", requirements=None)
    with store.calls("read"):
        folder = _folder(store.client().get_model_version_download_uri("own", "1"))
    assert "vision-gatekeeper==9.9+17" in (folder / "requirements.txt").read_text().split()
