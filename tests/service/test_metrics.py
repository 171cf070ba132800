"""Labels cannot be multiplied from outside."""

from __future__ import annotations

from typing import Any

from gatekeeper.classifiers.breaker import BreakerState
from gatekeeper.engine import Mark, Stage
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.service.schemas import DecisionBody


def test_unknown_paths_and_reasons_share_one_label() -> None:
    metrics = ServiceMetrics(["/known"])
    metrics.answered("/known", 200)
    for i in range(50):
        metrics.answered(f"/{i}", 404)
        metrics.image_refused(f"reason {i}")
    metrics.image_refused("truncated")
    lines = metrics.exposition().decode().splitlines()
    assert [line for line in lines if line.startswith("gatekeeper_requests_total{")] == [
        'gatekeeper_requests_total{code="200",route="/known"} 1.0',
        'gatekeeper_requests_total{code="404",route="other"} 50.0',
    ]
    assert [line for line in lines if line.startswith("gatekeeper_decode_rejections_total{")] == [
        'gatekeeper_decode_rejections_total{reason="other"} 50.0',
        'gatekeeper_decode_rejections_total{reason="truncated"} 1.0',
    ]


def test_not_ready_until_told() -> None:
    text = ServiceMetrics([]).exposition().decode()
    assert "gatekeeper_ready 0.0" in text
    assert "gatekeeper_bundle_info{" not in text


def test_states_are_those_of_the_moment() -> None:
    metrics = ServiceMetrics([])
    now: dict[str, Any] = {"ready": True, "waiting": (3, 700), "breaker": BreakerState.CLOSED}
    metrics.watch(lambda: now["ready"], lambda _: now["waiting"])
    metrics.watch_breaker("upstream", lambda: now["breaker"])
    lines = metrics.exposition().decode().splitlines()
    assert "gatekeeper_ready 1.0" in lines
    assert 'gatekeeper_queue_items{stage="restore"} 3.0' in lines
    assert 'gatekeeper_queue_bytes{stage="decide"} 700.0' in lines
    assert 'gatekeeper_breaker_state{dependency="upstream"} 0.0' in lines
    now.update(ready=False, waiting=(0, 0), breaker=BreakerState.OPEN)
    lines = metrics.exposition().decode().splitlines()
    assert "gatekeeper_ready 0.0" in lines
    assert 'gatekeeper_queue_items{stage="restore"} 0.0' in lines
    assert 'gatekeeper_breaker_state{dependency="upstream"} 2.0' in lines
    now["breaker"] = BreakerState.HALF_OPEN
    assert b'gatekeeper_breaker_state{dependency="upstream"} 1.0' in metrics.exposition()


def body(*reliabilities: float) -> DecisionBody:
    attempts = [
        {"restorer": "median" if at else None, "label": 0, "class_name": "a",
         "reliability": reliability, "action": "abstain"}
        for at, reliability in enumerate(reliabilities)
    ]  # fmt: skip
    return DecisionBody.model_validate(
        {"action": "abstain", "reason": "GK220", "reason_text": "", "label": None,
         "class_name": None, "reliability": 0.5, "attempts": attempts, "policy": "restore",
         "certified": True, "model_id": "m", "calibration_id": "c", "symptoms": [],
         "gear": "full", "degraded": [],
         "decision_id": "0" * 32, "sample": None, "upstream": None,
         "image": {"width": 1, "height": 1, "sha256": "0" * 64},
         "versions": {"gatekeeper": "1", "bundle": "c", "classifier": "m"},
         "certificate": {"certified": True, "target_risk": 0.05, "confidence_level": 0.95},
         "duration_ms": 1.0}
    )  # fmt: skip


def test_what_restoration_did_and_where_time_went() -> None:
    metrics = ServiceMetrics([])
    for reliabilities in ((0.5,), (0.5, 0.6), (0.5, 0.7), (0.5, 0.4), (0.5, 0.5)):
        metrics.decided(body(*reliabilities))
    mark = Mark(stage=Stage.RESTORE, entered=10.0, began=10.75, ended=12.0)
    metrics.decided(body(0.5), (mark,))
    lines = metrics.exposition().decode().splitlines()
    for line in (
        'gatekeeper_restorations_total{outcome="improved"} 2.0',
        'gatekeeper_restorations_total{outcome="worse"} 1.0',
        'gatekeeper_restorations_total{outcome="unchanged"} 1.0',
        'gatekeeper_queue_seconds_sum{stage="restore"} 0.75',
        'gatekeeper_queue_seconds_count{stage="restore"} 1.0',
        'gatekeeper_decisions_total{action="abstain",bundle="c",reason="GK220"} 6.0',
    ):
        assert line in lines


def test_only_the_bundle_of_the_moment_is_shown() -> None:
    metrics = ServiceMetrics([])
    decision = body(0.5)
    metrics.became_ready(decision.versions, decision.certificate)
    metrics.became_ready(decision.versions.model_copy(update={"bundle": "d"}), decision.certificate)
    lines = metrics.exposition().decode().splitlines()
    [info] = [line for line in lines if line.startswith("gatekeeper_bundle_info{")]
    assert 'bundle="d"' in info


def test_what_is_missed_and_what_the_upstream_made_of_it() -> None:
    metrics = ServiceMetrics([])
    metrics.deadline_missed("queue")
    metrics.upstream_asked("answered", 0.5)
    metrics.upstream_asked("failed", 1.0)
    metrics.upstream_not_asked("abstained")
    lines = metrics.exposition().decode().splitlines()
    for line in (
        'gatekeeper_deadline_missed_total{where="queue"} 1.0',
        'gatekeeper_upstream_requests_total{outcome="answered"} 1.0',
        'gatekeeper_upstream_requests_total{outcome="abstained"} 1.0',
        "gatekeeper_upstream_seconds_sum 1.5",
    ):
        assert line in lines


def test_some_samples_can_be_had_alone() -> None:
    metrics = ServiceMetrics(["/known"])
    metrics.refused("late")
    metrics.upstream_asked("answered", 0.5)
    text = metrics.exposition_of(["gatekeeper_shed_total", "gatekeeper_upstream_seconds_sum"])
    # The library keeps a set of collectors: which comes first is not said.
    samples = [line for line in text.decode().splitlines() if not line.startswith("#")]
    assert sorted(samples) == [
        'gatekeeper_shed_total{why="late"} 1.0',
        "gatekeeper_upstream_seconds_sum 0.5",
    ]
