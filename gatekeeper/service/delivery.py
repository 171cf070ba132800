"""From the engine's answer to what goes out: forwarded, counted, traced and put on record."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from gatekeeper.classifiers.upstream import UpstreamError
from gatekeeper.engine import DeadlineError, EngineAnswer, StageError
from gatekeeper.errors import GatekeeperError, ImageError
from gatekeeper.review import Capture
from gatekeeper.service.audit import AuditLog
from gatekeeper.service.bodies import Loaded, audit_fields
from gatekeeper.service.book import Book
from gatekeeper.service.capture import offer
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.service.proxy import Proxy, Received
from gatekeeper.service.schemas import DecisionBody, ImageBody
from gatekeeper.service.tracing import NoTraces, Traces, record_stages

_LOG = logging.getLogger("gatekeeper.service")


@dataclass(frozen=True, slots=True)
class Answered:
    """One image's answer.

    Attributes:
        body: As the native API gives it.
        answer: As the engine gave it.
    """

    body: DecisionBody
    answer: EngineAnswer


class LateError(DeadlineError):
    """It was being computed, or about to be, when its time was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What belongs to one image on its way out.

    Attributes:
        received: The image.
        facts: About it.
        began: When its request was read, in monotonic seconds.
        until: When its answer is of no use any more.
        who: What the audit log says about the request.
    """

    received: Received
    facts: ImageBody
    began: float
    until: float
    who: Mapping[str, str]


class Delivery:
    """Makes answers of outcomes.

    Args:
        metrics: Where decisions and refusals are counted.
        audit: Where decisions are put on record, if anywhere.
        proxy: Forwards images to a classifier, if there is one behind the service.
        traces: Where spans go, if anywhere.
        book: Keeps decisions for their labels, if anything does.
        capture: Keeps images for people to label, if any are kept.
    """

    def __init__(
        self,
        metrics: ServiceMetrics,
        audit: AuditLog | None,
        proxy: Proxy | None,
        traces: Traces | None,
        book: Book | None,
        capture: Capture | None = None,
    ) -> None:
        self._metrics = metrics
        self._audit = audit
        self._proxy = proxy
        self._book = book
        self._capture = capture
        self.traces = traces or NoTraces()

    def close(self) -> None:
        """End what runs beside the requests."""
        if self._proxy is not None:
            self._proxy.close()
        self.traces.close()

    async def deliver(
        self, loaded: Loaded, answer: EngineAnswer, parcel: Parcel
    ) -> Answered | Exception:
        """The answer for an image, or why there is none."""
        body = loaded.body(answer, parcel.facts, time.monotonic() - parcel.began)
        if self._proxy is not None:
            try:
                body = await self._forwarded(self._proxy, body, answer, parcel, loaded)
            except GatekeeperError as error:
                return self.refused(error)
        if self._book is not None:
            body = self._book.enter(body, answer, loaded, parcel.who)
        failed = [what for what in body.degraded if what.endswith("_failed")]
        if failed:
            # Here, where the id of the request is known: the engine logs why, for a whole batch.
            _LOG.warning("answered without what failed: %s", ", ".join(failed))
        record_stages(self.traces, answer.marks)
        self._metrics.decided(body, answer.marks)
        if self._audit is not None:
            self._audit.record({**parcel.who, **audit_fields(body)})
        if self._capture is not None:
            offer(self._capture, body, parcel.received.image)
        return Answered(body, answer)

    async def _forwarded(
        self,
        proxy: Proxy,
        body: DecisionBody,
        answer: EngineAnswer,
        parcel: Parcel,
        loaded: Loaded,
    ) -> DecisionBody:
        """The body with the upstream's answer."""
        began = time.monotonic()
        try:
            body = await proxy.merge(
                body,
                answer,
                parcel.received,
                loaded.gatekeeper,
                until=parcel.until,
                headers=self.traces.headers(),
            )
        finally:
            self.traces.record("upstream", began, time.monotonic())
        seconds = time.monotonic() - parcel.began
        return body.model_copy(update={"duration_ms": round(seconds * 1000, 3)})

    def refused(self, error: BaseException) -> Exception:
        """Count why an image has no answer."""
        if isinstance(error, StageError) and isinstance(error.__cause__, UpstreamError):
            # The stage is in order: it is the classifier elsewhere that gave no answer.
            error = error.__cause__
        if isinstance(error, ImageError):
            self._metrics.image_refused(error.reason)
        elif isinstance(error, DeadlineError):
            self._metrics.deadline_missed("compute" if isinstance(error, LateError) else "queue")
        if not isinstance(error, Exception):
            raise TypeError(f"expected an exception, got {type(error).__name__}")
        return error
