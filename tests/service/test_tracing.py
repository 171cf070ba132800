"""Spans of real requests, collected in memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gatekeeper.engine import Mark, Stage
from gatekeeper.service import app as service_app
from gatekeeper.service.tracing import NoTraces, OtelTraces, make_traces, record_stages
from tests.upstream import LocalUpstream, serving

PNG = {"Content-Type": "image/png"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(
    spans: InMemorySpanExporter,
    start: Callable[..., TestClient],
    fake: Any,
    eventually: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., TestClient]:
    """``traced(**settings)``: a client of a ready app whose spans are kept."""
    traces = OtelTraces(spans, at_once=True)
    monkeypatch.setattr(service_app, "make_traces", lambda _: traces)

    def start_traced(**settings: Any) -> TestClient:
        client = start(lambda: fake, **settings)
        eventually(lambda: client.get("/readyz").status_code == 200)
        return client

    return start_traced


def test_a_decision_is_a_tree_of_spans(
    traced: Callable[..., TestClient], spans: InMemorySpanExporter, image_file: Callable[..., bytes]
) -> None:
    headers = {**PNG, "traceparent": PARENT}
    answer = traced().post("/v1/decide", content=image_file(), headers=headers)
    assert answer.status_code == 200
    found = {span.name: span for span in spans.get_finished_spans()}
    assert set(found) == {"POST request", "decode", "queue", "stage_a"}
    request = found.pop("POST request")
    assert request.kind is SpanKind.SERVER
    assert format(request.context.trace_id, "032x") == PARENT.split("-")[1]
    assert format(request.parent.span_id, "016x") == PARENT.split("-")[2]
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
    }
    times = []
    for name in ("decode", "queue", "stage_a"):
        span = found[name]
        assert span.parent.span_id == request.context.span_id
        times += [span.start_time, span.end_time]
    # A millisecond for the two clocks that spans are dated with.
    assert request.start_time <= times[0] + 10**6
    assert times == sorted(times)
    assert times[-1] <= request.end_time + 10**6


def test_probes_and_metrics_are_not_traced(
    traced: Callable[..., TestClient], spans: InMemorySpanExporter
) -> None:
    client = traced()
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200
    assert spans.get_finished_spans() == ()


def test_failures_are_marked(
    traced: Callable[..., TestClient],
    spans: InMemorySpanExporter,
    fake: Any,
    image_file: Callable[..., bytes],
) -> None:
    client = traced(on_decide_error="reject")
    fake.error = RuntimeError("broken")
    assert client.post("/v1/decide", content=image_file(), headers=PNG).status_code == 500
    [request] = [span for span in spans.get_finished_spans() if span.parent is None]
    assert request.status.status_code is StatusCode.ERROR
    assert request.attributes["http.response.status_code"] == 500


def test_the_upstream_learns_the_trace(
    traced: Callable[..., TestClient],
    spans: InMemorySpanExporter,
    image_file: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    with serving(LocalUpstream(datatype="BYTES")) as local:
        path = tmp_path / "upstream.toml"
        path.write_text(f'[upstream]\nurl = "{local.v2}"\n', encoding="utf-8")
        client = traced(upstream_file=str(path))
        client.post("/v1/decide", content=image_file(), headers={**PNG, "traceparent": PARENT})
        told = local.seen[-1][2]["traceparent"].split("-")
    found = {span.name: span for span in spans.get_finished_spans()}
    assert told[1] == PARENT.split("-")[1]
    assert told[2] == format(found["POST request"].context.span_id, "016x")
    assert found["upstream"].parent.span_id == found["POST request"].context.span_id


def test_both_stages_have_their_spans(spans: InMemorySpanExporter) -> None:
    traces = OtelTraces(spans, at_once=True)
    record_stages(
        traces,
        (Mark(stage=Stage.DECIDE, entered=1.0, began=1.5, ended=3.5),
         Mark(stage=Stage.RESTORE, entered=3.5, began=3.75, ended=4.75)),
    )  # fmt: skip
    found = spans.get_finished_spans()
    assert [span.name for span in found] == ["queue", "stage_a", "queue", "stage_b"]
    seconds = [(span.end_time - span.start_time) / 1e9 for span in found]
    assert seconds == pytest.approx([0.5, 2.0, 0.25, 1.0])
    assert [dict(span.attributes) for span in found[::2]] == [
        {"stage": "decide"},
        {"stage": "restore"},
    ]


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)


def test_off_unless_configured_and_a_warning_without_the_package(
    without_package: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(make_traces(""), NoTraces)
    assert caplog.text == ""
    assert isinstance(make_traces("http://collector:4318/v1/traces"), NoTraces)
    assert "install `vision-gatekeeper[otel]`" in caplog.text


def test_nothing_is_imported_where_nothing_is_traced() -> None:
    traces = NoTraces()
    with traces.request({"type": "http"}) as span:
        span.answered(500)
    traces.record("a", 0.0, 1.0)
    assert traces.headers() == {}
    traces.close()


def test_configured_it_sends_to_the_collector() -> None:
    with serving(LocalUpstream()) as local:
        traces = make_traces(f"{local.url}/v1/traces")
        assert isinstance(traces, OtelTraces)
        traces.record("a", 1.0, 2.0)
        traces.close()
        assert [(method, path) for method, path, _, _ in local.seen] == [("POST", "/v1/traces")]
