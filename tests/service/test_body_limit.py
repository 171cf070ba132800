"""The guard by itself, over a bare ASGI app."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatekeeper.service.body_limit import BodyLimit
from gatekeeper.service.errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    MalformedRequestError,
    MediaTypeError,
)


def run(
    chunks: list[bytes],
    *headers: tuple[str, str],
    pause_s: float = 0,
    **scope: Any,
) -> bytes:
    """What an app behind the guard reads; the chunks are used up as they are taken."""
    body = b""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal body
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        assert (await receive())["type"] == "http.disconnect"

    async def receive() -> dict[str, Any]:
        if not chunks:
            await asyncio.sleep(pause_s * 2)
            return {"type": "http.disconnect"}
        await asyncio.sleep(pause_s)
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    guard = BodyLimit(app, media_types={"/in": ["image/png"]}, max_bytes=10, timeout_s=0.25)
    named = [(name.lower().encode(), value.encode()) for name, value in headers]
    request = {"type": "http", "method": "POST", "path": "/in", "headers": named, **scope}
    asyncio.run(guard(request, receive, None))  # type: ignore[arg-type]
    return body


TYPE = ("Content-Type", "image/png")


def test_body_passes_unchanged() -> None:
    assert run([b"12345", b"", b"67890"], TYPE) == b"1234567890"
    assert run([b"12345"], TYPE, ("Content-Length", "0005")) == b"12345"


def test_the_first_byte_too_many_is_refused() -> None:
    chunks = [b"12345", b"67890", b"1"]
    with pytest.raises(BodyTooLargeError, match="at most 10 bytes"):
        run(chunks, TYPE)


def test_a_lie_about_the_length_does_not_help() -> None:
    with pytest.raises(BodyTooLargeError):
        run([b"x" * 11], TYPE, ("Content-Length", "1"))


@pytest.mark.parametrize("length", ["11", "99999999999999999999", "9" * 5000])
def test_announced_length_is_enough_to_refuse(length: str) -> None:
    with pytest.raises(BodyTooLargeError, match="at most 10 bytes"):
        run([b"1"], TYPE, ("Content-Length", length))


def test_a_little_too_much_is_thrown_away_so_that_the_client_reads_its_answer() -> None:
    for headers in ([TYPE], [TYPE, ("Content-Length", "40")]):
        chunks = [b"x" * 20, b"x" * 20]
        with pytest.raises(BodyTooLargeError):
            run(chunks, *headers)
        assert chunks == []


def test_far_too_much_is_not_read() -> None:
    endless = [b"x" * 20] * 9
    with pytest.raises(BodyTooLargeError):
        run(endless, TYPE)
    assert len(endless) == 6
    unread = [b"x"]
    with pytest.raises(BodyTooLargeError):
        run(unread, TYPE, ("Content-Length", "41"))
    with pytest.raises(BodyTooLargeError):
        run(unread, TYPE, ("Content-Length", "11"), ("Expect", "100-continue"))
    assert unread == [b"x"]


def test_throwing_away_has_the_same_time_limit() -> None:
    chunks = [b"x" * 11] + [b"x"] * 9
    with pytest.raises(BodyTooLargeError):
        run(chunks, TYPE, pause_s=0.1)
    assert len(chunks) >= 6


@pytest.mark.parametrize("length", ["-1", "ten", "1_0", "+5", "", "5, 5"])
def test_length_that_is_no_number(length: str) -> None:
    with pytest.raises(MalformedRequestError):
        run([b"1"], TYPE, ("Content-Length", length))


def test_slow_body_is_refused_by_total_time() -> None:
    with pytest.raises(BodyTimeoutError, match=r"within 0\.25 s, got \d bytes"):
        run([b"1"] * 9, TYPE, pause_s=0.1)


def test_time_after_the_body_is_not_counted() -> None:
    assert run([b"1"], TYPE, pause_s=0.15) == b"1"


def test_type_is_asked_for_only_where_a_body_is_taken() -> None:
    with pytest.raises(MediaTypeError):
        run([b"1"])
    assert run([b"1"], path="/elsewhere") == b"1"
    assert run([b"1"], method="PUT") == b"1"


def test_size_counts_everywhere() -> None:
    with pytest.raises(BodyTooLargeError):
        run([b"x" * 11], path="/elsewhere")


def test_guard_holds_where_the_app_is_mounted_below_a_path() -> None:
    with pytest.raises(MediaTypeError):
        run([b"1"], path="/gate/in", root_path="/gate")
