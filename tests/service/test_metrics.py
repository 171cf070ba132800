"""Labels cannot be multiplied from outside."""

from __future__ import annotations

from gatekeeper.service.metrics import ServiceMetrics


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
