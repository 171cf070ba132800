"""What the service counts, for Prometheus; every label has a short, fixed list of values."""

from __future__ import annotations

from collections.abc import Collection

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from gatekeeper.decision import Decision
from gatekeeper.images import DECODE_REASONS
from gatekeeper.service.schemas import CertificateBody, VersionsBody

CONTENT_TYPE = CONTENT_TYPE_LATEST
OTHER = "other"

# Fine near 1, where thresholds lie.
_RELIABILITY_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0)
_SECONDS_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class ServiceMetrics:
    """The counters of one app, in a registry of their own (two apps in a process do not mix).

    Args:
        routes: Paths that are counted under their own name; all others are "other".
    """

    def __init__(self, routes: Collection[str]) -> None:
        self._routes = frozenset(routes)
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
            ["action", "reason"],
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
            "1 once a verified bundle has decided a canary image.",
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "gatekeeper_in_flight",
            "Requests for a decision under way.",
            registry=self._registry,
        )

    def answered(self, path: str, status: int) -> None:
        """Count a request by its route and status."""
        self._requests.labels(path if path in self._routes else OTHER, str(status)).inc()

    def decided(self, decision: Decision, seconds: float) -> None:
        """Count a decision that took ``seconds``."""
        self._decisions.labels(decision.action.value, decision.reason.value).inc()
        self._reliability.observe(decision.reliability)
        self._decide_seconds.observe(seconds)

    def image_refused(self, reason: str) -> None:
        """Count a body that is not an acceptable image."""
        self._decode_rejections.labels(reason if reason in DECODE_REASONS else OTHER).inc()

    def in_flight(self, n: int) -> None:
        """Show how many requests for a decision are under way."""
        self._in_flight.set(n)

    def became_ready(self, versions: VersionsBody, certificate: CertificateBody) -> None:
        """Show which bundle decides from now on."""
        self._bundle_info.labels(
            versions.gatekeeper,
            versions.bundle,
            versions.classifier,
            str(certificate.certified).lower(),
        ).set(1)
        self._ready.set(1)

    def exposition(self) -> bytes:
        """All of it in Prometheus's text format; see :data:`CONTENT_TYPE`."""
        return generate_latest(self._registry)
