"""What every answer carries: a request id, versions, and an error body where there is no result."""

from __future__ import annotations

import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatekeeper import __version__
from gatekeeper.service.body_limit import local_path
from gatekeeper.service.errors import error_response, is_expected
from gatekeeper.service.host import Host
from gatekeeper.service.metrics import ServiceMetrics

REQUEST_ID = "X-Request-ID"
VERSION = "X-Gatekeeper-Version"
BUNDLE = "X-Gatekeeper-Bundle"

_LOG = logging.getLogger("gatekeeper.service")

# Printable ASCII without the space: it goes into answers and log lines as it is.
_ACCEPTABLE_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Envelope:
    """The outermost ASGI layer; the only place where an exception becomes an answer.

    Args:
        app: What is wrapped.
        host: Knows the bundle.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, *, host: Host, metrics: ServiceMetrics) -> None:
        self._app = app
        self._host = host
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in any case, exactly once."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._metrics.answered(local_path(scope), message["status"])
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers[VERSION] = __version__
                # Answers of decisions name the bundle that decided, which may be another by now.
                headers.setdefault(BUNDLE, self._host.bundle_id or "none")
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if not is_expected(error):
                _LOG.exception("request %s ended in an unexpected error", request_id)
            if started:
                raise
            answer = error_response(error, request_id, path=local_path(scope))
            await answer(scope, receive, send_with_headers)


def request_id_of(scope: Scope) -> str:
    """The request's own id where it has an acceptable one, else a new one; the same every time."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    state: dict[str, str] = scope.setdefault("state", {})
    if "request_id" not in state:
        state["request_id"] = given if _ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex
    return state["request_id"]


def who_asks(scope: Scope) -> dict[str, str]:
    """What the audit log says about a request."""
    key = scope.get("state", {}).get("key")
    return {"request_id": request_id_of(scope), **({} if key is None else {"key": key})}
