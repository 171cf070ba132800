"""What Prometheus is told about versions, labels, monitors and traffic."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from gatekeeper.monitoring import TrafficState


class TrustMetrics:
    """Counters and gauges about whether what is certified still holds.

    Args:
        registry: Of the app.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry_up = Gauge(
            "gatekeeper_registry_up",
            "1 while the model registry answers; 0 while it does not, or none is asked.",
            registry=registry,
        )
        self._version = Gauge(
            "gatekeeper_version_info",
            "Always 1; the labels name the version of the registry that decides.",
            ["model", "version"],
            registry=registry,
        )
        self.swaps = Counter(
            "gatekeeper_version_swaps_total",
            "Promoted versions: swapped in, refused before it, or undone after it.",
            ["outcome"],
            registry=registry,
        )
        self.feedback = Counter(
            "gatekeeper_feedback_total",
            "Labels: counted by the monitor, kept without counting, or given before.",
            ["use"],
            registry=registry,
        )
        self._ledger_dropped = Counter(
            "gatekeeper_ledger_dropped_total",
            "Decisions that are missing in the ledger, so that they can get no label.",
            registry=registry,
        )
        self.withdrawn = Gauge(
            "gatekeeper_certificate_withdrawn",
            "1 while labels speak against the certificate of the bundle that decides.",
            registry=registry,
        )
        self.e_value = Gauge(
            "gatekeeper_monitor_e_value",
            "Evidence against the certificate of the bundle that decides; 1 is none.",
            registry=registry,
        )
        self._p_value = Gauge(
            "gatekeeper_conditions_p_value",
            "How well the last window of traffic fits what was certified; 1 before the first.",
            registry=registry,
        )
        self._flagged = Gauge(
            "gatekeeper_conditions_flagged",
            "1 while the last window of traffic is unlike what was certified.",
            registry=registry,
        )
        self._accuracy = Gauge(
            "gatekeeper_expected_accuracy",
            "Accuracy of the last window as estimated without labels, with its interval.",
            ["bound"],
            registry=registry,
        )
        self._risk = Gauge(
            "gatekeeper_expected_accepted_risk",
            "Share of wrong answers among its accepted ones, estimated likewise.",
            ["bound"],
            registry=registry,
        )
        self.unreported = Gauge(
            "gatekeeper_tracking_waiting",
            "Aggregates that wait to be written to mlflow.",
            registry=registry,
        )
        self._unreported_dropped = Counter(
            "gatekeeper_tracking_dropped_total",
            "Aggregates that were dropped because mlflow was down for too long.",
            registry=registry,
        )
        self._p_value.set(1)
        self.e_value.set(1)

    def serves(self, model: str, version: str) -> None:
        """Show which version of the registry decides from now on."""
        self._version.clear()
        self._version.labels(model, version).set(1)

    def ledger_dropped(self) -> None:
        """Count a decision that is missing in the ledger."""
        self._ledger_dropped.inc()

    def report_dropped(self) -> None:
        """Count an aggregate that mlflow will never get."""
        self._unreported_dropped.inc()

    def tested(self, state: TrafficState) -> None:
        """Show what the last window of traffic says."""
        self._p_value.set(1.0 if state.p_value is None else state.p_value)
        self._flagged.set(state.flagged)
        for gauge, estimate in (
            (self._accuracy, state.accuracy),
            (self._risk, state.accepted_risk),
        ):
            gauge.clear()
            if estimate is not None:
                gauge.labels("value").set(estimate.value)
                gauge.labels("low").set(estimate.low)
                gauge.labels("high").set(estimate.high)
