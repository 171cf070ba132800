"""Heads that never end, or never end soon, on a real server with either parser."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.h11_impl import H11Protocol

from gatekeeper.service import heads
from gatekeeper.service.errors import HeadTooLargeError
from gatekeeper.service.heads import HeadLimit, bounded_heads, head_bytes

MAX = 2000
TIMEOUT_S = 0.5
GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once, on /echo after the body, on /slow after a while."""
    body = b"early"
    if scope["path"] == "/echo":
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(0.2)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


PROTOCOLS = {"h11": H11Protocol, "auto": auto.AutoHTTPProtocol}


@pytest.fixture(scope="module", params=PROTOCOLS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Where a server with these bounds listens; the second parser is httptools where it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "AutoHTTPProtocol", PROTOCOLS[request.param])
        protocol = bounded_heads(TIMEOUT_S, MAX)
    config = uvicorn.Config(
        app, http=protocol, h11_max_incomplete_event_size=MAX, lifespan="off", ws="none",
        log_config=None,
    )  # fmt: skip
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


class Wire:
    """A connection, and all that came over it until it was closed."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.began = time.monotonic()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def until(self, end: bytes) -> bytes:
        """What comes up to and with ``end``."""
        found = b""
        while not found.endswith(end):
            piece = self._socket.recv(1)
            assert piece, found
            found += piece
        return found

    def rest(self) -> bytes:
        """What comes until the other side closes."""
        found = b""
        try:
            while piece := self._socket.recv(65_536):
                found += piece
        except ConnectionError:  # it closed on bytes that it did not read
            pass
        return found


def test_a_head_that_does_not_end_is_answered_with_408_and_cut_off(port: int) -> None:
    with Wire(port) as wire:
        wire.send(b"GET /a HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        assert wire.rest() == (
            b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        )
        assert time.monotonic() - wire.began >= TIMEOUT_S * 0.9


def test_a_byte_now_and_then_does_not_wind_the_clock_back(port: int) -> None:
    with Wire(port) as wire:
        wire.send(b"GET /a HTTP/1.1\r\nX: ")
        with suppress(ConnectionError):
            for _ in range(400):
                wire.send(b"x")
                time.sleep(0.05)
            pytest.fail("it was never cut off")
        assert time.monotonic() - wire.began >= TIMEOUT_S * 0.9


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(port: int) -> None:
    with Wire(port) as wire:
        assert wire.rest() == b""


def test_the_second_head_of_a_connection_has_its_own_clock(port: int) -> None:
    with Wire(port) as wire:
        for _ in range(3):
            wire.send(GET)
            assert wire.until(b"early").startswith(b"HTTP/1.1 200")
            time.sleep(TIMEOUT_S * 0.6)
        wire.send(b"GET /a HT")
        assert wire.rest().startswith(b"HTTP/1.1 408")


def test_a_body_may_take_longer_than_a_head(port: int) -> None:
    with Wire(port) as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        for byte in (b"x", b"y", b"z"):
            time.sleep(TIMEOUT_S * 0.6)
            wire.send(byte)
        assert wire.until(b"xyz").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("endless", [b"X-A: b\r\n", b"y"], ids=["lines", "value"])
def test_a_head_without_end_is_refused_before_its_time_is_up(port: int, endless: bytes) -> None:
    with Wire(port) as wire:
        wire.send(b"GET /a HTTP/1.1\r\nHost: a\r\nX-B: c")
        wire.send(b"\r\n" if len(endless) > 1 else b"")
        wire.send(endless * (2 * MAX // len(endless)))
        answer = wire.rest()
    # h11 has a word of its own for it.
    assert answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400")) or answer == b""


def test_large_bodies_are_no_heads(port: int) -> None:
    body = b"x" * (20 * MAX)
    with Wire(port) as wire:
        for _ in range(2):
            wire.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
            wire.send(body[:MAX])
            wire.send(body[MAX:])
            assert wire.until(body).startswith(b"HTTP/1.1 200")


def test_the_rest_of_a_body_that_was_answered_early_is_no_head(port: int) -> None:
    with Wire(port) as wire:
        wire.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (10 * MAX))
        assert wire.until(b"early").startswith(b"HTTP/1.1 200")
        for _ in range(10):
            wire.send(b"x" * MAX)
        wire.send(GET)
        assert wire.until(b"early").startswith(b"HTTP/1.1 200")
        # Nor does it wait for ever for the rest.
        wire.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
        wire.until(b"early")
        wire.send(b"x")
        assert wire.rest() == b""


def test_a_second_head_is_bounded_while_the_first_request_is_under_way(port: int) -> None:
    with Wire(port) as wire:
        wire.send(GET.replace(b"/a", b"/slow"))
        time.sleep(0.05)
        wire.send(b"GET /b HTTP/1.1\r\nX: " + b"y" * (3 * MAX))
        assert b"/b" not in wire.rest()


def scope(**changed: Any) -> dict[str, Any]:
    plain = {"type": "http", "path": "/a", "raw_path": b"/a", "query_string": b"", "headers": []}
    return {**plain, **changed}


def test_the_size_of_a_head_by_hand() -> None:
    assert head_bytes(scope()) == 2
    assert head_bytes(scope(raw_path=None, path="/ä", query_string=b"q=1")) == 3 + 3
    assert head_bytes(scope(headers=[(b"a", b""), (b"bc", b"def")])) == 2 + 33 + 37


def test_a_whole_head_is_refused_from_the_first_byte_too_many() -> None:
    passed = []

    async def inner(given: Any, _receive: Any, _send: Any) -> None:
        passed.append(given["type"])

    guard = HeadLimit(inner, max_bytes=100)
    asyncio.run(guard(scope(headers=[(b"a", b"b" * 65)]), None, None))  # type: ignore[arg-type]
    assert passed == ["http"]
    with pytest.raises(HeadTooLargeError, match="at most 100 bytes"):
        asyncio.run(guard(scope(headers=[(b"a", b"b" * 66)]), None, None))  # type: ignore[arg-type]
    asyncio.run(guard({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert passed == ["http", "lifespan"]
