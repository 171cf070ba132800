"""Bounds the head of a request, which is read before any of our own code is asked.

The protocol of uvicorn waits without end for a head, and one of its parsers keeps whatever comes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from gatekeeper.service.errors import HeadTooLargeError

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Parser
else:
    _Parser = object  # which of its two parsers uvicorn has is known at run time only

MAX_HEAD_BYTES = 32_768
"""Largest head: path, query, names and values, and 32 bytes for each line, as HTTP/2 counts."""

_PER_LINE = 32
_TOO_LARGE = "431 Request Header Fields Too Large"
_TOO_SLOW = "408 Request Timeout"


def bounded_heads(timeout_s: float, max_bytes: int = MAX_HEAD_BYTES) -> type[asyncio.Protocol]:
    """The protocol of uvicorn for HTTP/1.1, which cuts off heads that are too slow or too large.

    The clock of a head starts when the connection is made, or with its first byte on a connection
    that is used again, and no byte winds it back. A connection on which nothing came is closed
    without a word, others after an answer: 408 or 431. What a client still sends of a body that was
    answered before its end is thrown away for as long as a head may take.

    Args:
        timeout_s: Time between the start of a head and its end.
        max_bytes: Most bytes of a head that has not ended yet; one that has is for
            :class:`HeadLimit`.
    """
    bounds = {"timeout_s": timeout_s, "max_bytes": max_bytes}
    return type("BoundedHeads", (_HeadBounds, AutoHTTPProtocol), bounds)


class _HeadBounds(_Parser):
    """What is added to one of uvicorn's protocols; an object is one connection."""

    timeout_s: float
    max_bytes: int
    cycle: Any  # None before the first head has ended

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # uvicorn's
        super().__init__(*args, **kwargs)
        self._clock: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._body_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the first head."""
        super().connection_made(transport)  # type: ignore[arg-type]  # as uvicorn has it
        self._start()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head."""
        before = self.cycle
        in_head = before is None or not before.more_body or self._body_over
        if self._is_answered():
            self._start()
        self._head_bytes += len(data) if in_head else 0
        super().data_received(data)
        if self.cycle is not before:
            self._stop()
        elif self._head_bytes > self.max_bytes:
            self._refuse(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Called by httptools at the end of a head."""
        self._body_over = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Called by httptools at the end of a body, also of one that was answered before."""
        self._body_over = True
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def _is_answered(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def _start(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(self.timeout_s, self._refuse, _TOO_SLOW)

    def _stop(self) -> None:
        self._head_bytes = 0
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _refuse(self, status: str) -> None:
        if self.transport.is_closing():
            return
        if self._head_bytes and self._is_answered():
            lines = (f"HTTP/1.1 {status}", "connection: close", "content-length: 0", "", "")
            self.transport.write("\r\n".join(lines).encode())
        self.transport.close()


class HeadLimit:
    """A pure ASGI guard: refuses a head that arrived whole and is too large.

    Args:
        app: What is guarded.
        max_bytes: Largest head, counted as :data:`MAX_HEAD_BYTES` says.

    Raises:
        HeadTooLargeError: the head is larger.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_HEAD_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on where its head is small enough."""
        if scope["type"] == "http" and head_bytes(scope) > self._max_bytes:
            raise HeadTooLargeError(
                f"expected a request head of at most {self._max_bytes} bytes, got more: send "
                "shorter or fewer headers"
            )
        await self._app(scope, receive, send)


def head_bytes(scope: Scope) -> int:
    """Size of a request's head.

    Example:
        >>> head_bytes({"raw_path": b"/a", "query_string": b"b", "headers": [(b"c", b"de")]})
        38
    """
    lines = sum(len(name) + len(value) + _PER_LINE for name, value in scope["headers"])
    path = scope.get("raw_path") or scope["path"].encode()
    return len(path) + len(scope["query_string"]) + lines
