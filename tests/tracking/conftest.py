"""A temporary home, fake bundles, and one store for the session (SQLite migrations are slow)."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from gatekeeper.decision import Action, Attempt, Decision, Reason
from gatekeeper.errors import ImageError
from gatekeeper.manifest import verify_manifest
from gatekeeper.tracking import LoggedVersion, Registry, TrackingStore, log_fit

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
DIGESTS = {"train": "a" * 64, "test": "b" * 64}

LogBundle = Callable[..., LoggedVersion]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _FakeGatekeeper:
    """Accepts any PNG with the class number 1; says which bundle it was loaded from."""

    class_names = ("shirt", "bag")

    def __init__(self, directory: Path) -> None:
        self.digest = verify_manifest(directory)

    @classmethod
    def load(cls, directory: Path) -> _FakeGatekeeper:
        return cls(directory)

    def decide_one(self, data: bytes) -> Decision:
        if not data.startswith(b"\x89PNG"):
            raise ImageError("unknown_format", "expected an image, got something else")
        accept = len(data) > 8
        label = 1 if accept else None
        action = Action.ACCEPT if accept else Action.ABSTAIN
        return Decision(
            action=action,
            reason=Reason.ACCEPTED_RAW if accept else Reason.NO_RESTORER,
            label=label,
            reliability=0.97 if accept else 0.25,
            attempts=(Attempt(restorer=None, label=1, reliability=0.97, action=action),),
            policy="full",
            certified=True,
            model_id="fake",
            calibration_id=self.digest,
        )


@pytest.fixture(autouse=True)
def _doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = ModuleType("gatekeeper.pipeline")
    pipeline.Gatekeeper = _FakeGatekeeper  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gatekeeper.pipeline", pipeline)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Folders: home for the product, cwd to work in and leave empty."""
    return SimpleNamespace(home=tmp_path_factory.mktemp("home"), cwd=tmp_path_factory.mktemp("cwd"))


@pytest.fixture(autouse=True)
def _home(place: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GATEKEEPER_HOME", str(place.home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    monkeypatch.chdir(place.cwd)
    yield
    assert list(place.cwd.iterdir()) == [], "nothing may be written into the working directory"


@pytest.fixture
def png() -> bytes:
    return PNG


@pytest.fixture
def digests() -> dict[str, str]:
    return dict(DIGESTS)


@pytest.fixture
def store() -> TrackingStore:
    return TrackingStore.from_environment()


@pytest.fixture
def registry(store: TrackingStore) -> Registry:
    return Registry(store)


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[[str], Path]:
    def make(content: str) -> Path:
        directory = tmp_path / f"bundle-{_sha256(content.encode())[:8]}"
        directory.mkdir()
        (directory / "gate.json").write_text(content)
        line = f"{_sha256(content.encode())}  gate.json\n"
        (directory / "MANIFEST.sha256").write_text(line)
        return directory

    return make


@pytest.fixture
def log_bundle(
    store: TrackingStore, make_bundle: Callable[[str], Path], tmp_path: Path
) -> LogBundle:
    report = tmp_path / "report.html"
    report.write_text("<p>fine</p>")

    def log(name: str, content: str = "one", **changes: object) -> LoggedVersion:
        arguments: dict[str, object] = {
            "experiment": "gate/fake",
            "run_name": "demo",
            "params": {"target_risk": 0.05},
            "metrics": {"aurc": 0.0125},
            "tags": {"gate.classifier": "fake"},
            "data_digests": DIGESTS,
            "artifacts": [report],
            "registered_name": name,
            "metadata": {"schema": 1},
            "example": PNG,
            "requirements": ["platformdirs>=1"],
        }
        if "bundle" not in changes:
            changes["bundle"] = make_bundle(content)
        return log_fit(store, **{**arguments, **changes})  # type: ignore[arg-type]

    return log
