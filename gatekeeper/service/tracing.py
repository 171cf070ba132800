"""OpenTelemetry spans of a request: decode, queue, stage A, queue, stage B, upstream.

The extra ``[otel]`` brings the packages; without an endpoint nothing is traced, and nothing of
OpenTelemetry is imported. A span is written once its end is known, with the times that the engine
measured, so that tracing costs the engine's thread nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatekeeper import __version__
from gatekeeper.engine import Mark, Stage
from gatekeeper.service.body_limit import local_path

_LOG = logging.getLogger("gatekeeper.service")
_NANO = 10**9
_SERVER_ERROR = 500
_EXPORT_S = 3
_STAGES = {Stage.DECIDE: "stage_a", Stage.RESTORE: "stage_b"}


class Traces(Protocol):
    """Where spans go."""

    def request(self, scope: Scope) -> Any:  # noqa: ANN401  # a context that gives a SpanOfRequest
        """The span of a request, for as long as the context lasts."""
        ...

    def record(self, name: str, began: float, ended: float, **attributes: str) -> None:
        """A finished span below that of the request; times in monotonic seconds."""
        ...

    def headers(self) -> dict[str, str]:
        """What tells another server which trace a request belongs to."""
        ...

    def close(self) -> None:
        """Send what was not sent yet."""
        ...


class SpanOfRequest:
    """The span of a request, or none.

    Args:
        span: OpenTelemetry's; None where nothing is traced.
    """

    def __init__(self, span: Any = None) -> None:  # noqa: ANN401  # of an optional package
        self._span = span

    def answered(self, status: int) -> None:
        """The status that the request was answered with."""
        if self._span is None:
            return
        self._span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERROR:
            api = import_module("opentelemetry.trace")
            self._span.set_status(api.Status(api.StatusCode.ERROR))


class NoTraces:
    """Nothing is traced."""

    @contextmanager
    def request(self, scope: Scope) -> Iterator[SpanOfRequest]:
        """No span."""
        del scope
        yield SpanOfRequest()

    def record(self, name: str, began: float, ended: float, **attributes: str) -> None:
        """Nothing is kept."""

    def headers(self) -> dict[str, str]:
        """None."""
        return {}

    def close(self) -> None:
        """Nothing is open."""


class OtelTraces:
    """Spans through OpenTelemetry; a ``traceparent`` header of the request is their parent.

    Args:
        exporter: Where spans go; sent in batches by a thread of the package.
        at_once: Whether each span is handed over when it ends, for tests.
    """

    def __init__(self, exporter: Any, *, at_once: bool = False) -> None:  # noqa: ANN401
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
        propagation = import_module("opentelemetry.trace.propagation.tracecontext")
        self._api = import_module("opentelemetry.trace")
        self._carrier = propagation.TraceContextTextMapPropagator()
        # A provider of its own: whoever embeds the app may have a global one.
        self._provider = sdk.TracerProvider(
            resource=resources.Resource.create(
                {"service.name": "gatekeeper", "service.version": __version__}
            ),
            shutdown_on_exit=False,
        )
        kind = export.SimpleSpanProcessor if at_once else export.BatchSpanProcessor
        self._provider.add_span_processor(kind(exporter))
        self._tracer = self._provider.get_tracer("gatekeeper", __version__)
        # Monotonic seconds to the nanoseconds since 1970 that spans are dated in.
        self._epoch = time.time_ns() - int(time.monotonic() * _NANO)

    @contextmanager
    def request(self, scope: Scope) -> Iterator[SpanOfRequest]:
        """See :class:`Traces`."""
        with self._tracer.start_as_current_span(
            f"{scope['method']} request",
            context=self._carrier.extract(dict(Headers(scope=scope))),
            kind=self._api.SpanKind.SERVER,
            attributes={"http.request.method": scope["method"]},
        ) as span:
            yield SpanOfRequest(span)

    def record(self, name: str, began: float, ended: float, **attributes: str) -> None:
        """See :class:`Traces`."""
        span = self._tracer.start_span(name, start_time=self._at(began), attributes=attributes)
        span.end(end_time=self._at(ended))

    def _at(self, seconds: float) -> int:
        return self._epoch + int(seconds * _NANO)

    def headers(self) -> dict[str, str]:
        """See :class:`Traces`."""
        carrier: dict[str, str] = {}
        self._carrier.inject(carrier)
        return carrier

    def close(self) -> None:
        """See :class:`Traces`."""
        self._provider.shutdown()


def make_traces(endpoint: str) -> Traces:
    """Traces to an OTLP collector over HTTP.

    Args:
        endpoint: Such as ``http://collector:4318/v1/traces``; "" traces nothing.

    Returns:
        Traces that keep nothing where there is no endpoint, and, with a warning in the log, where
        the packages are missing: a service that cannot be traced still serves.
    """
    if not endpoint:
        return NoTraces()
    try:
        otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        _LOG.warning(
            "expected OpenTelemetry for traces_endpoint, got no such package: nothing is traced; "
            "install `vision-gatekeeper[otel]`"
        )
        return NoTraces()
    # A collector that is away must not hold up a shutdown.
    return OtelTraces(otlp.OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_S))


def record_stages(traces: Traces, marks: Sequence[Mark]) -> None:
    """The spans of an image in the engine: waiting and computing, stage after stage."""
    for mark in marks:
        traces.record("queue", mark.entered, mark.began, stage=mark.stage.value)
        traces.record(_STAGES[mark.stage], mark.began, mark.ended)


class Tracing:
    """A pure ASGI layer that spans each request but probes and metrics.

    Args:
        app: What is wrapped.
        traces: Where spans go.
        untraced: Paths without a span.
    """

    def __init__(self, app: ASGIApp, *, traces: Traces, untraced: Sequence[str]) -> None:
        self._app = app
        self._traces = traces
        self._untraced = frozenset(untraced)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer below a span."""
        if scope["type"] != "http" or local_path(scope) in self._untraced:
            await self._app(scope, receive, send)
            return
        with self._traces.request(scope) as span:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.answered(message["status"])
                await send(message)

            await self._app(scope, receive, send_and_note)
