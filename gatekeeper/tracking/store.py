"""Where runs and versions are kept, and the one door through which mlflow is reached.

mlflow takes about a second to import, so this module imports it inside functions only.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

from gatekeeper.errors import TrackingError
from gatekeeper.paths import home

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_TRACKING_URI = "MLFLOW_TRACKING_URI"
# mlflow's own check knows only the literal "true", so a user's DO_NOT_TRACK=1 would not be heard.
_TELEMETRY_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_QUIET = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # alembic follows it
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout belongs to --json
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a registry that is down is told within seconds
    "MLFLOW_UV_AUTO_DETECT": "false",  # else a uv project in the cwd is copied into the model
}
_SERVED_SCHEMES = ("http", "https", "databricks", "databricks-uc", "uc")


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Import or call mlflow within: no telemetry, no progress bars, no advice on its innards."""
    os.environ.update(_TELEMETRY_OFF)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        # How mlflow treats its dependencies, and its advice on type hints and input examples,
        # is nothing that a user of gatekeeper could change.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"mlflow\.")
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingStore:
    """The place where runs, artifacts and model versions are kept.

    Attributes:
        uri: Tracking URI; the registry lives there too unless ``MLFLOW_REGISTRY_URI`` says
            otherwise.
        artifact_root: Folder under which new experiments put their artifacts; None where a
            server decides.
    """

    uri: str
    artifact_root: Path | None

    @classmethod
    def from_environment(cls) -> Self:
        """The store that ``MLFLOW_TRACKING_URI`` names, else SQLite under the product's home.

        Artifacts go to ``<home>/artifacts`` even for a user's own database: mlflow would
        otherwise drop them into ``./mlruns`` of whatever the working directory is.
        """
        uri = os.environ.get(_TRACKING_URI, "")
        if urlsplit(uri).scheme in _SERVED_SCHEMES or uri in _SERVED_SCHEMES:
            return cls(uri=uri, artifact_root=None)
        root = home().absolute()
        return cls(uri=uri or f"sqlite:///{root / 'mlflow.db'}", artifact_root=root / "artifacts")

    @property
    def shown_uri(self) -> str:
        """The URI without user name and password, fit for messages."""
        parts = urlsplit(self.uri)
        if "@" not in parts.netloc:
            return self.uri
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @contextmanager
    def calls(self, purpose: str) -> Iterator[None]:
        """Talk to mlflow quietly; whatever it refuses becomes one sentence.

        Args:
            purpose: What is being done, to follow "could not" in the message.

        Raises:
            TrackingError: mlflow, its database or its artifact folder refused.
        """
        with quiet_mlflow():
            from mlflow.exceptions import MlflowException
            from sqlalchemy.exc import SQLAlchemyError

            try:
                yield
            except (MlflowException, SQLAlchemyError, OSError) as error:
                raise TrackingError(
                    f"could not {purpose} in the tracking store {self.shown_uri}: {error}; check "
                    f"{_TRACKING_URI} and that the store can be reached and written"
                ) from error

    def client(self) -> MlflowClient:
        """A client of this store; use it within :meth:`calls`."""
        from mlflow.tracking import MlflowClient

        if self.artifact_root is not None:
            self.artifact_root.parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=self.uri)

    @contextmanager
    def activated(self) -> Iterator[None]:
        """Make this the store of mlflow's process-wide functions, and put things back after.

        mlflow writes the URI into the environment, where it would pass for a user's choice.
        """
        import mlflow

        before = os.environ.get(_TRACKING_URI)
        mlflow.set_tracking_uri(self.uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None means "not set"

    def experiment_id(self, name: str) -> str:
        """The id of an experiment, created with an explicit artifact folder where it is new.

        Args:
            name: Name of the experiment, such as ``gate/fashion-mnist``.

        Raises:
            TrackingError: the store refused, or the experiment was deleted.
        """
        with self.calls(f"open the experiment {name!r}"):
            client = self.client()
            known = client.get_experiment_by_name(name)
            if known is None:
                return str(client.create_experiment(name, self._artifact_location(name)))
        if known.lifecycle_stage == "deleted":
            raise TrackingError(
                f"the experiment {name!r} was deleted in {self.shown_uri}; restore it with "
                f"`mlflow experiments restore` or choose another name"
            )
        return str(known.experiment_id)

    def _artifact_location(self, experiment: str) -> str | None:
        if self.artifact_root is None:
            return None
        folder = re.sub(r"[^\w.-]+", "-", experiment).strip(".-") or "experiment"
        return (self.artifact_root / folder).as_uri()
