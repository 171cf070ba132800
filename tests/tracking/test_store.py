from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

import gatekeeper
from gatekeeper.errors import TrackingError
from gatekeeper.tracking import TrackingStore


def test_the_default_is_sqlite_and_an_artifact_folder_under_home(place: SimpleNamespace) -> None:
    store = TrackingStore.from_environment()
    assert store.uri == f"sqlite:///{place.home}/mlflow.db"
    assert store.artifact_root == place.home / "artifacts"


@pytest.mark.parametrize("uri", ["http://tracking:5000", "https://tracking", "databricks"])
def test_a_served_store_decides_where_artifacts_go(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert TrackingStore.from_environment() == TrackingStore(uri=uri, artifact_root=None)


def test_a_users_own_database_still_gets_an_explicit_artifact_folder(
    place: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "postgresql://me:secret@db:5432/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    store = TrackingStore.from_environment()
    assert (store.uri, store.artifact_root) == (uri, place.home / "artifacts")


def test_messages_do_not_show_the_password() -> None:
    store = TrackingStore(uri="http://me:secret@db:5432/x", artifact_root=None)
    assert store.shown_uri == "http://db:5432/x"


def test_an_experiment_is_created_once_with_its_folder_under_home(
    store: TrackingStore, place: SimpleNamespace
) -> None:
    first = store.experiment_id("gate/a name")
    assert store.experiment_id("gate/a name") == first
    with store.calls("look"):
        location = store.client().get_experiment(first).artifact_location
    assert unquote(urlsplit(location).path) == str(place.home / "artifacts" / "gate-a-name")


def test_a_deleted_experiment_is_named(store: TrackingStore) -> None:
    gone = store.experiment_id("gate/gone")
    with store.calls("delete"):
        store.client().delete_experiment(gone)
    with pytest.raises(TrackingError, match="'gate/gone' was deleted"):
        store.experiment_id("gate/gone")


def test_a_store_that_cannot_be_opened_is_one_sentence(place: SimpleNamespace) -> None:
    blocked = place.home / "a-file"
    blocked.write_text("")
    store = TrackingStore(uri=f"sqlite:///{blocked}/x.db", artifact_root=None)
    with pytest.raises(TrackingError, match=r"could not open the experiment 'x' in the tracking"):
        store.experiment_id("x")


def test_activation_leaves_the_environment_as_it_was(
    store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    for before in (None, "http://elsewhere:1"):
        if before is not None:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", before)
        with store.calls("try"), store.activated():
            assert mlflow.get_tracking_uri() == store.uri
        assert os.environ.get("MLFLOW_TRACKING_URI") == before
    mlflow.set_tracking_uri(None)


def test_the_room_is_imported_without_mlflow_and_a_call_turns_telemetry_off() -> None:
    code = """
import os, sys
import gatekeeper.tracking as tracking
assert not {"mlflow", "torch", "pandas", "sqlalchemy"} & set(sys.modules)
os.environ.update(DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="false")
with tracking.TrackingStore(uri="http://nowhere", artifact_root=None).calls("try"):
    import mlflow
    from mlflow.telemetry.utils import is_telemetry_disabled
    from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY
    print(MLFLOW_DISABLE_TELEMETRY.get(), is_telemetry_disabled())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(gatekeeper.__file__).parents[1],  # also where the package is not installed
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True True\n", "")
