"""What the service writes to standard error: lines for people or JSON, with request ids."""

from __future__ import annotations

import json
import logging
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatekeeper.service.body_limit import local_path
from gatekeeper.service.envelope import request_id_of

REQUEST_ID: ContextVar[str] = ContextVar("gatekeeper_request_id", default="")
"""Id of the request that is answered in this context."""

_ACCESS = logging.getLogger("gatekeeper.access")
_FIELDS = ("method", "route", "status", "duration_ms")


class WithRequestId(logging.Filter):
    """Gives each record the id of its request, "" outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        request_id = REQUEST_ID.get()
        record.request_id = request_id
        record.of_request = f" [{request_id}]" if request_id else ""
        return True


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request id, and what there is more.

    Example:
        >>> record = logging.makeLogRecord({"msg": "a", "levelname": "INFO", "created": 0.0})
        >>> JsonLines().format(record)[:58]
        '{"time": "1970-01-01T00:00:00.000+00:00", "level": "INFO",'
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", ""),
        }
        line |= {key: getattr(record, key) for key in _FIELDS if hasattr(record, key)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_config(level: str, form: str) -> dict[str, Any]:
    """The configuration of logging, as the standard library takes it.

    Args:
        level: Least level that is written.
        form: ``text`` or ``json``.
    """
    logger = {"handlers": ["stderr"], "level": level.upper(), "propagate": False}
    text = "%(asctime)s %(levelname)s %(name)s: %(message)s%(of_request)s"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": WithRequestId}},
        "formatters": {"text": {"format": text}, "json": {"()": JsonLines}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
                "filters": ["request_id"],
            }
        },
        "loggers": {"uvicorn": logger, "gatekeeper": logger},
    }


class AccessLog:
    """A pure ASGI layer that writes a line per answer, at level debug where all is well.

    It names the method, the route as it is counted and the status; never a query, a header or a
    body: those may hold secrets.

    Args:
        app: What is wrapped.
        routes: Paths that are named; all others are "other".
    """

    def __init__(self, app: ASGIApp, *, routes: frozenset[str]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and write."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        REQUEST_ID.set(request_id_of(scope))

        async def send_and_write(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._write(scope, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, send_and_write)

    def _write(self, scope: Scope, status: int, seconds: float) -> None:
        level = logging.DEBUG if status < 400 else logging.INFO
        if not _ACCESS.isEnabledFor(level):
            return
        path = local_path(scope)
        fields = {
            "method": scope["method"],
            "route": path if path in self._routes else "other",
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
        }
        _ACCESS.log(
            level,
            "%(method)s %(route)s %(status)d in %(duration_ms).1f ms",
            fields,
            extra=fields,
        )
