"""Refuses bodies that are too large, too slow or of the wrong type, before anything reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatekeeper.service.errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    MalformedRequestError,
    MediaTypeError,
)

# How many times the limit is read and thrown away before a client is cut off.
_LINGER = 4
_MOST_DIGITS = 20
_MOST_PIECES = 65_536


class BodyLimit:
    """A pure ASGI guard: what the headers say is checked at once, the rest while it is read.

    Size and time bound every body; the media type is checked where a route takes one.

    Args:
        app: What is guarded. It must let the exceptions of its ``receive`` pass.
        media_types: Path → types that a POST to it may declare. What the bytes are is found out
            when they are decoded.
        max_bytes: Largest body.
        timeout_s: Time between the first read and the last byte.

    A body that is too large is read on and thrown away for a bounded while: a client that is still
    sending would otherwise see a broken connection instead of its answer.

    Raises:
        MediaTypeError: no media type, one that is not listed, or an encoding.
        MalformedRequestError: a Content-Length that is no number.
        BodyTooLargeError: announced or received more than ``max_bytes``, or in more than 65,536
            pieces.
        BodyTimeoutError: not all received within ``timeout_s``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        media_types: Mapping[str, Collection[str]],
        max_bytes: int,
        timeout_s: float,
    ) -> None:
        self._app = app
        self._media_types = media_types
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the headers, then pass the request on with a metered body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        accepted = self._media_types.get(local_path(scope))
        if accepted is not None and scope["method"] == "POST":
            _check_media_type(headers, accepted)
        body = _MeteredBody(receive, max_bytes=self._max_bytes, timeout_s=self._timeout_s)
        announced = _announced_length(headers)
        if announced > self._max_bytes:
            # A client that asks before it sends need not send; a hopeless one is cut off.
            if "expect" not in headers and announced <= self._max_bytes * _LINGER:
                await body.discard()
            raise _too_large(self._max_bytes)
        await self._app(scope, body, send)


class _MeteredBody:
    """A ``receive`` that counts bytes and time until the body is complete."""

    def __init__(self, receive: Receive, *, max_bytes: int, timeout_s: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._deadline: float | None = None
        self._received = 0
        self._pieces = 0
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            message = await self._next()
        except TimeoutError as error:
            raise BodyTimeoutError(
                f"expected the whole body within {self._timeout_s:g} s, got {self._received} "
                "bytes of it: send a smaller image or use a faster connection"
            ) from error
        if self._received > self._max_bytes or self._pieces > _MOST_PIECES:
            await self.discard()
            raise _too_large(self._max_bytes)
        return message

    async def discard(self) -> None:
        """Read on until the body ends, its time is up or far too much was received."""
        with suppress(TimeoutError):
            while not self._complete and self._lingers():
                await self._next()

    def _lingers(self) -> bool:
        return (
            self._received <= self._max_bytes * _LINGER and self._pieces <= _MOST_PIECES * _LINGER
        )

    async def _next(self) -> Message:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._timeout_s
        async with asyncio.timeout_at(self._deadline):
            message = await self._receive()
        self._received += len(message.get("body", b""))
        self._pieces += 1
        self._complete = not message.get("more_body", False)
        return message


def local_path(scope: Scope) -> str:
    """The path below the place where the app is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _check_media_type(headers: Headers, accepted: Collection[str]) -> None:
    wanted = ", ".join(sorted(accepted))
    declared = headers.get("content-type")
    if declared is None:
        raise MediaTypeError(f"expected a Content-Type, one of {wanted}, got none: declare it")
    if declared.partition(";")[0].strip().lower() not in accepted:
        raise MediaTypeError(f"expected a Content-Type of {wanted}, got another: send the raw file")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise MediaTypeError(
            "expected no Content-Encoding, got one: images are compressed already, send the raw "
            "file"
        )


def _announced_length(headers: Headers) -> int:
    """The Content-Length, 0 where there is none."""
    announced = headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdigit()):
        raise MalformedRequestError("expected a Content-Length in bytes, got something else")
    # int() refuses numbers of thousands of digits; no body has one of twenty.
    digits = announced.lstrip("0") or "0"
    return int(digits[:_MOST_DIGITS])


def _too_large(max_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"expected a body of at most {max_bytes} bytes, got more: send a smaller image"
    )
