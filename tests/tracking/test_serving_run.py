"""One run per served version, found again by the next service."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gatekeeper.errors import InputError, TrackingError
from gatekeeper.tracking import LoggedVersion, Registry, ServingRun, TrackingStore

LogBundle = Callable[..., LoggedVersion]


def test_periods_become_steps_of_one_run_per_version(
    registry: Registry, store: TrackingStore, log_bundle: LogBundle
) -> None:
    log_bundle("busy", "busy one")
    log_bundle("busy", "busy two")
    one, two = (registry.resolve(f"models:/busy/{number}") for number in (1, 2))
    sink = ServingRun(store)
    run = sink.log(one, {"decisions": 4.0, "coverage": 0.75}, 1000.5)
    assert sink.log(one, {"decisions": 6.0}, 1060.0) == run
    assert ServingRun(store).log(one, {"decisions": 8.0}, 1120.0) == run
    other = sink.log(two, {"decisions": 1.0}, 1120.0)
    assert other != run
    with store.calls("look"):
        client = store.client()
        history = client.get_metric_history(run, "decisions")
        kept = client.get_run(run)
    assert [(each.value, each.step, each.timestamp) for each in history] == [
        (4.0, 1000, 1_000_500),
        (6.0, 1060, 1_060_000),
        (8.0, 1120, 1_120_000),
    ]
    assert kept.data.metrics["coverage"] == 0.75
    assert kept.data.tags["gatekeeper.serving"] == "models:/busy/1"
    assert kept.data.tags["gatekeeper.bundle_sha256"] == one.bundle


def test_what_is_no_number_and_a_store_that_is_down(
    registry: Registry, log_bundle: LogBundle
) -> None:
    log_bundle("idle")
    version = registry.resolve("models:/idle/1")
    nowhere = ServingRun(TrackingStore(uri="http://127.0.0.1:9", artifact_root=None))
    with pytest.raises(InputError, match="finite"):
        nowhere.log(version, {"coverage": float("nan")}, 0.0)
    with pytest.raises(TrackingError):
        nowhere.log(version, {"coverage": 1.0}, 0.0)
