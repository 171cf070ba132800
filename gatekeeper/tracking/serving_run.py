"""One run per served version: what was decided and what labels said, as metrics over time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gatekeeper.errors import InputError
from gatekeeper.tracking.registry import BUNDLE_TAG, RegisteredVersion
from gatekeeper.tracking.store import TrackingStore

SERVING_TAG = "gatekeeper.serving"
_EXPERIMENT = "serving"


@dataclass(slots=True)
class ServingRun:
    """Writes aggregates of traffic into mlflow; the run of a version is made once and found again.

    It talks to the store, so it belongs in a thread of its own and never on the way of a request.

    Attributes:
        store: Where the runs are.
    """

    store: TrackingStore
    _runs: dict[str, str] = field(default_factory=dict)

    def log(self, version: RegisteredVersion, metrics: Mapping[str, float], at: float) -> str:
        """Log the figures of one period.

        Args:
            version: That decided; its run has the tag ``gatekeeper.serving`` = its URI.
            metrics: Finite numbers by name.
            at: End of the period, seconds since 1970.

        Returns:
            mlflow's id of the run.

        Raises:
            InputError: a number is not finite.
            TrackingError: the store refused or is down.
        """
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise InputError(f"metric {name!r} must be a finite number, got {value}")
        run_id = self._run(version)
        with self.store.calls(f"log the traffic of {version.uri}"):
            from mlflow.entities import Metric

            when = int(at * 1000)
            # Periods are told apart by their second; mlflow draws them by time or by this step.
            rows = [Metric(name, float(value), when, int(at)) for name, value in metrics.items()]
            self.store.client().log_batch(run_id, metrics=rows, synchronous=True)
        return run_id

    def _run(self, version: RegisteredVersion) -> str:
        if version.uri not in self._runs:
            experiment = self.store.experiment_id(f"{_EXPERIMENT}/{version.name}")
            quote = '"' if "'" in version.name else "'"
            with self.store.calls(f"open the run of {version.uri}"):
                client = self.store.client()
                found = client.search_runs(
                    [experiment],
                    f"tags.`{SERVING_TAG}` = {quote}{version.uri}{quote}",
                    max_results=1,
                )
                run = (
                    found[0]
                    if found
                    else client.create_run(
                        experiment,
                        run_name=f"{version.name}-{version.version}",
                        tags={SERVING_TAG: version.uri, BUNDLE_TAG: version.bundle},
                    )
                )
            self._runs[version.uri] = str(run.info.run_id)
        return self._runs[version.uri]
