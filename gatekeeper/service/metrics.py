"""What the service counts, for Prometheus; every label has a short, fixed list of values."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from gatekeeper.classifiers.breaker import BreakerState
from gatekeeper.engine import Gear, Mark, Stage
from gatekeeper.images import DECODE_REASONS
from gatekeeper.service.schemas import AttemptBody, CertificateBody, DecisionBody, VersionsBody

_LOG = logging.getLogger("gatekeeper.service")

CONTENT_TYPE = CONTENT_TYPE_LATEST
OTHER = "other"

# Fine near 1, where thresholds lie.
_RELIABILITY_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0)
_SECONDS_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
_BREAKER = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 1.0, BreakerState.OPEN: 2.0}


class ServiceMetrics:
    """The counters of one app, in a registry of their own (two apps in a process do not mix).

    They are also the observer of its engine.

    Args:
        routes: Paths that are counted under their own name; all others are "other".

    Attributes:
        routes: These.
    """

    def __init__(self, routes: Collection[str]) -> None:
        self.routes = frozenset(routes)
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "gatekeeper_requests_total",
            "Requests answered.",
            ["route", "code"],
            registry=self._registry,
        )
        self._decisions = Counter(
            "gatekeeper_decisions_total",
            "Decisions made.",
            ["action", "reason", "bundle"],
            registry=self._registry,
        )
        self._reliability = Histogram(
            "gatekeeper_reliability",
            "Reliability of the kept answers.",
            buckets=_RELIABILITY_BUCKETS,
            registry=self._registry,
        )
        self._decide_seconds = Histogram(
            "gatekeeper_decide_seconds",
            "From the last byte of a body to its decision, waiting included.",
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )
        self._decode_rejections = Counter(
            "gatekeeper_decode_rejections_total",
            "Bodies that are not an acceptable image.",
            ["reason"],
            registry=self._registry,
        )
        self._bundle_info = Gauge(
            "gatekeeper_bundle_info",
            "Always 1; the labels name what decides.",
            ["version", "bundle", "classifier", "certified"],
            registry=self._registry,
        )
        self._ready = Gauge(
            "gatekeeper_ready",
            "1 while a verified bundle that has decided a canary image decides.",
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "gatekeeper_in_flight",
            "Requests for a decision under way.",
            registry=self._registry,
        )

        self._batch_size = Histogram(
            "gatekeeper_batch_size",
            "Images per computed batch.",
            ["stage"],
            buckets=_BATCH_BUCKETS,
            registry=self._registry,
        )
        self._stage_seconds = Histogram(
            "gatekeeper_stage_seconds",
            "Computing one batch.",
            ["stage"],
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )
        self._queue_seconds = Histogram(
            "gatekeeper_queue_seconds",
            "Waiting of one image for a stage.",
            ["stage"],
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )
        self._queue_items = Gauge(
            "gatekeeper_queue_items",
            "Images that wait for a stage.",
            ["stage"],
            registry=self._registry,
        )
        self._queue_bytes = Gauge(
            "gatekeeper_queue_bytes",
            "Memory that they hold.",
            ["stage"],
            registry=self._registry,
        )
        self._restorations = Counter(
            "gatekeeper_restorations_total",
            "Second looks, by what became of the reliability.",
            ["outcome"],
            registry=self._registry,
        )
        self._deadline_missed = Counter(
            "gatekeeper_deadline_missed_total",
            "Images without an answer in time: given up in the queue, or while they were computed.",
            ["where"],
            registry=self._registry,
        )
        self._stage_failures = Counter(
            "gatekeeper_stage_failures_total",
            "Images on which a stage failed.",
            ["stage"],
            registry=self._registry,
        )
        self._shed = Counter(
            "gatekeeper_shed_total",
            "Requests told to come back.",
            ["why"],
            registry=self._registry,
        )
        self._degraded = Counter(
            "gatekeeper_degraded_total",
            "Decisions that were not as they should be.",
            ["what"],
            registry=self._registry,
        )
        self._restored_share = Gauge(
            "gatekeeper_gear_restored_share",
            "Share of the doubtful images that the gear of the moment restores.",
            registry=self._registry,
        )
        self._restored_share.set(1)
        self._engines_lost = Counter(
            "gatekeeper_engines_lost_total",
            "Engines that died or hung and were replaced.",
            registry=self._registry,
        )

        self._breaker_state = Gauge(
            "gatekeeper_breaker_state",
            "Circuit breaker of an upstream: 0 closed, 1 half-open, 2 open.",
            ["dependency"],
            registry=self._registry,
        )
        self._upstream_requests = Counter(
            "gatekeeper_upstream_requests_total",
            "Images handed to the upstream, by what became of them.",
            ["outcome"],
            registry=self._registry,
        )
        self._upstream_seconds = Histogram(
            "gatekeeper_upstream_seconds",
            "Answers of the upstream, failures included.",
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )

        self._audit_dropped = Counter(
            "gatekeeper_audit_dropped_total",
            "Decisions that are missing in the audit log.",
            registry=self._registry,
        )

        self._review_dropped = Counter(
            "gatekeeper_review_dropped_total",
            "Images that should have been kept for people to label, and were lost.",
            registry=self._registry,
        )

    def review_dropped(self) -> None:
        """Count an image that was to be kept for people, and was lost."""
        self._review_dropped.inc()

    @property
    def registry(self) -> CollectorRegistry:
        """Where other parts of the service may add their own."""
        return self._registry

    def audit_dropped(self) -> None:
        """Count a decision that is missing in the audit log."""
        self._audit_dropped.inc()

    def answered(self, path: str, status: int) -> None:
        """Count a request by its route and status."""
        self._requests.labels(path if path in self.routes else OTHER, str(status)).inc()

    def watch(
        self, is_ready: Callable[[], bool], waiting: Callable[[Stage], tuple[int, int]]
    ) -> None:
        """Have the state of an engine shown as it is at each look.

        Args:
            is_ready: Whether work is let in and gets done.
            waiting: How many images wait for a stage, and the bytes that they hold.
        """
        self._ready.set_function(lambda: float(is_ready()))
        for stage in Stage:
            self._queue_items.labels(stage.value).set_function(_part(waiting, stage, 0))
            self._queue_bytes.labels(stage.value).set_function(_part(waiting, stage, 1))

    def watch_breaker(self, dependency: str, state: Callable[[], BreakerState]) -> None:
        """Have the state of a circuit breaker shown as it is at each look."""
        self._breaker_state.labels(dependency).set_function(lambda: _BREAKER[state()])

    def decided(self, decision: DecisionBody, marks: Sequence[Mark] = ()) -> None:
        """Count a decision, and where its time went."""
        self._decisions.labels(
            decision.action.value, decision.reason.value, decision.versions.bundle
        ).inc()
        for mark in marks:
            self._queue_seconds.labels(mark.stage.value).observe(mark.began - mark.entered)
        for attempt in decision.attempts[1:]:
            self._restorations.labels(_outcome(decision.attempts[0], attempt)).inc()
        if decision.attempts:
            self._reliability.observe(decision.reliability)
        self._decide_seconds.observe(decision.duration_ms / 1000)
        for what in decision.degraded:
            self._degraded.labels(what).inc()

    def batch_done(self, stage: Stage, n: int, seconds: float) -> None:
        """Count a computed batch."""
        self._batch_size.labels(stage.value).observe(n)
        self._stage_seconds.labels(stage.value).observe(seconds)

    def stage_failed(self, stage: Stage, error: Exception) -> None:
        """Count an image on which a stage failed."""
        self._stage_failures.labels(stage.value).inc()
        _LOG.error("stage %s failed on an image", stage.value, exc_info=error)

    def refused(self, why: str) -> None:
        """Count a request that was told to come back."""
        self._shed.labels(why).inc()

    def shifted(self, gear: Gear) -> None:
        """Show the gear of the moment."""
        self._restored_share.set(gear.restored_share)

    def engine_lost(self, error: Exception) -> None:
        """Count an engine that is replaced."""
        self._engines_lost.inc()
        _LOG.error("the engine is replaced", exc_info=error)

    def deadline_missed(self, where: str) -> None:
        """Count an image without an answer in time."""
        self._deadline_missed.labels(where).inc()

    def upstream_asked(self, outcome: str, seconds: float) -> None:
        """Count an image that was handed to the upstream."""
        self._upstream_requests.labels(outcome).inc()
        self._upstream_seconds.observe(seconds)

    def upstream_not_asked(self, outcome: str) -> None:
        """Count an image that was kept from the upstream."""
        self._upstream_requests.labels(outcome).inc()

    def image_refused(self, reason: str) -> None:
        """Count a body that is not an acceptable image."""
        self._decode_rejections.labels(reason if reason in DECODE_REASONS else OTHER).inc()

    def in_flight(self, n: int) -> None:
        """Show how many requests for a decision are under way."""
        self._in_flight.set(n)

    def became_ready(self, versions: VersionsBody, certificate: CertificateBody) -> None:
        """Show which bundle decides from now on."""
        self._bundle_info.clear()
        self._bundle_info.labels(
            versions.gatekeeper,
            versions.bundle,
            versions.classifier,
            str(certificate.certified).lower(),
        ).set(1)

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format; see :data:`CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def exposition_of(self, samples: Sequence[str]) -> bytes:
        """Some of it in the same format.

        Args:
            samples: Names of samples, such as ``gatekeeper_shed_total``.
        """
        return generate_latest(self._registry.restricted_registry(samples))


def _part(
    waiting: Callable[[Stage], tuple[int, int]], stage: Stage, at: int
) -> Callable[[], float]:
    return lambda: float(waiting(stage)[at])


def _outcome(raw: AttemptBody, restored: AttemptBody) -> str:
    """What a second look did for the reliability; the gate decides whether it counts."""
    if restored.reliability == raw.reliability:
        return "unchanged"
    return "improved" if restored.reliability > raw.reliability else "worse"
