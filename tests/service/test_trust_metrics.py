"""The last window and the served version are shown, those before are not."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gatekeeper.monitoring import AccuracyEstimate, TrafficState
from gatekeeper.service.trust_metrics import TrustMetrics


def test_windows_and_versions_replace_one_another() -> None:
    registry = CollectorRegistry()
    metrics = TrustMetrics(registry)
    estimate = AccuracyEstimate(
        value=0.8, low=0.7, high=0.9, n_images=500, sampling_error=0.01, calibration_error=0.02
    )
    metrics.tested(TrafficState(p_value=0.002, flagged=True, accuracy=estimate))
    metrics.serves("gate", "1")
    metrics.serves("gate", "2")
    shown = generate_latest(registry).decode()
    for line in (
        "gatekeeper_conditions_p_value 0.002",
        "gatekeeper_conditions_flagged 1.0",
        'gatekeeper_expected_accuracy{bound="low"} 0.7',
        'gatekeeper_expected_accuracy{bound="value"} 0.8',
        'gatekeeper_expected_accuracy{bound="high"} 0.9',
        'gatekeeper_version_info{model="gate",version="2"} 1.0',
    ):
        assert line in shown
    assert 'version="1"' not in shown
    assert "gatekeeper_expected_accepted_risk{" not in shown
    metrics.tested(TrafficState())
    shown = generate_latest(registry).decode()
    assert "gatekeeper_conditions_p_value 1.0" in shown
    assert "gatekeeper_expected_accuracy{" not in shown
