"""What no client library would send: bytes on a socket of the real server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.bad_images import photo, saved
from tests.service.bad_requests import INFER
from tests.service.conftest import FakeGatekeeper, wait_until
from tests.service.test_server import ask, running

MAX_BODY = 600_000
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A real server."""
    fake = FakeGatekeeper()
    with running(lambda: fake, max_body_bytes=MAX_BODY) as port:
        wait_until(lambda: ask(port, "GET", "/readyz")[0] == 200)
        yield port


@pytest.fixture(scope="module")
def impatient() -> Iterator[int]:
    """A real server that waits 0.4 s for a body."""
    fake = FakeGatekeeper()
    with running(lambda: fake, max_body_bytes=MAX_BODY, body_timeout_s=0.4) as port:
        wait_until(lambda: ask(port, "GET", "/readyz")[0] == 200)
        yield port


def sent(port: int, *parts: bytes, wait_s: float = 10) -> bytes:
    """All that the server answers until it closes the connection, or waits for more."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
            while data := connection.recv(65_536):
                answer += data
        except OSError:  # it closed on us, or waits: what came until then is the answer
            pass
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def head(*lines: str, path: str = "/v1/decide", method: str = "POST") -> bytes:
    common = [f"{method} {path} HTTP/1.1", "Host: a", "Connection: close", *lines]
    return "\r\n".join([*common, "", ""]).encode("latin-1")


@pytest.mark.parametrize("path", ["/v1/decide", INFER])
def test_a_slow_body_is_cut_off(impatient: int, path: str) -> None:
    request = head("Content-Type: image/png", "Content-Length: 10", path=path)
    answer = sent(impatient, request + b"12345")
    assert status(answer) == 408
    assert b"expected the whole body within 0.4 s, got 5 bytes" in answer


def test_slow_bodies_do_not_hold_up_the_others(impatient: int) -> None:
    request = head("Content-Type: image/png", "Content-Length: 10")
    slow = [socket.create_connection(("127.0.0.1", impatient), timeout=5) for _ in range(20)]
    try:
        for connection in slow:
            connection.sendall(request + b"1")
        assert ask(impatient, "POST", "/v1/decide", saved(photo(), "PNG"), PNG)[0] == 200
        answers = [b"".join(iter(lambda c=c: c.recv(65_536), b"")) for c in slow]
    finally:
        for connection in slow:
            connection.close()
    assert {status(answer) for answer in answers} == {408}


def test_heads_that_never_end_do_not_hold_up_the_others(port: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(b"POST /v1/decide HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        assert ask(port, "POST", "/v1/decide", saved(photo(), "PNG"), PNG)[0] == 200
    finally:
        for connection in slow:
            connection.close()


def test_clients_that_leave_in_the_middle_leave_nothing_behind(port: int) -> None:
    request = head("Content-Type: image/png", "Content-Length: 5000")
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request + b"half")

    def nothing_under_way() -> bool:
        answer = sent(port, head(path="/metrics", method="GET"))
        return b"gatekeeper_in_flight 0.0" in answer

    wait_until(nothing_under_way)
    assert ask(port, "POST", "/v1/decide", saved(photo(), "PNG"), PNG)[0] == 200


@pytest.mark.parametrize(
    ("lines", "body", "expected"),
    [
        (["Content-Length: 5"], b"123456789", {400, 422}),  # what is beyond is not the body's
        (["Content-Length: -1"], b"x", {400}),
        (["Content-Length: +5"], b"12345", {400}),
        (["Content-Length: 0x5"], b"12345", {400}),
        (["Content-Length: 5", "Content-Length: 6"], b"123456", {400}),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], b"0\r\n\r\n", {400}),
        (["Transfer-Encoding: chunked"], b"zz\r\nx\r\n0\r\n\r\n", {400}),
        (["Transfer-Encoding: chunked"], b"-1\r\nx\r\n0\r\n\r\n", {400}),
        (["Transfer-Encoding: chunked"], b"fffffffffffffffff\r\nx", {400}),
        (["Transfer-Encoding: gzip"], b"x", {400}),
        (["Transfer-Encoding: chunked, gzip"], b"0\r\n\r\n", {400}),
        ([f"Content-Length: {10**18}"], b"x", {413}),
        ([f"Content-Length: {'9' * 40}"], b"x", {400, 413}),
    ],
)
def test_bodies_whose_lengths_lie(
    port: int, lines: list[str], body: bytes, expected: set[int]
) -> None:
    answer = sent(port, head("Content-Type: image/png", *lines) + body)
    assert status(answer) in expected
    # A second answer would mean that a part of the body was taken for a request.
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_body_that_hides_a_request_is_one_request(port: int) -> None:
    hidden = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
    lines = ["Content-Type: image/png", f"Content-Length: {len(hidden)}"]
    answer = sent(port, head(*lines) + hidden)
    assert (status(answer), answer.count(b"HTTP/1.1 ")) == (422, 1)


@pytest.mark.parametrize("pieces", [65_537, 200_000])
def test_a_body_in_countless_pieces_is_refused(port: int, pieces: int) -> None:
    request = head("Content-Type: image/png", "Transfer-Encoding: chunked")
    answer = sent(port, request, b"1\r\nx\r\n" * pieces + b"0\r\n\r\n")
    # Pieces that arrive together are read as one: then it is a file that is no image.
    assert status(answer) in {413, 422}
    assert ask(port, "GET", "/healthz")[0] == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /v2/models/../../healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /v2/models//ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET http://example.org/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /static/../app.py HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n",
        b"\0" * 1000,
    ],
)
def test_strange_requests_are_refused(port: int, request_: bytes) -> None:
    answer = sent(port, request_, wait_s=0.3)
    assert status(answer) in {0, 400, 404, 405}
    assert b"root:" not in answer
    assert ask(port, "GET", "/healthz")[0] == 200


def test_heads_of_64_kilobytes(port: int) -> None:
    answer = sent(port, head(f"X-Long: {'a' * 65_536}", path="/healthz", method="GET"))
    assert status(answer) in {400, 431}
    many = [f"X-{k}: a" for k in range(5000)]
    assert status(sent(port, head(*many, path="/healthz", method="GET"))) in {400, 431}
    long = sent(port, head(path="/" + "a" * 65_536, method="GET"))
    assert status(long) in {400, 431}
    assert ask(port, "GET", "/healthz")[0] == 200


def test_a_head_that_is_too_large_is_a_sentence(port: int) -> None:
    lines = [f"X-{k}: {'a' * 400}" for k in range(77)]
    assert status(sent(port, head(*lines[:60], path="/healthz", method="GET"))) == 200
    answer = sent(port, head(*lines, path="/healthz", method="GET"))
    assert status(answer) in {400, 431}
    if status(answer) == 431:  # it came whole: h11 has a word of its own for what it held
        assert b'"code":"head_too_large"' in answer
        assert b"expected a request head of at most 32768 bytes" in answer
    assert ask(port, "GET", "/healthz")[0] == 200


def test_a_slow_head_is_cut_off(impatient: int) -> None:
    assert status(sent(impatient, b"POST /v1/decide HTTP/1.1\r\nHost: a\r\nX-Slow: ")) == 408


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "get", "P\0ST", "X" * 300]),
    path=st.sampled_from(["/v1/decide", "/v1/decide/batch", INFER, "/readyz", "/v2", "/nowhere"]),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [b"Content-Length", b"Content-Type", b"Content-Encoding", b"Expect", b"Range",
                 b"Inference-Header-Content-Length", b"X-Request-ID", b"X-API-Key", b"Host",
                 b"Transfer-Encoding", b"Upgrade", b"Cookie"]
            ),
            st.sampled_from(
                [b"0", b"5", b"-1", b"chunked", b"image/png", b"application/json", b"gzip", b"",
                 b"100-continue", b"bytes=0-,0-,0-", b"websocket", b"\xff\xfe", b"a\0b"]
            )
            | st.binary(max_size=20),
        ),
        max_size=5,
    ),
    body=st.binary(max_size=40),
)  # fmt: skip
def test_no_bytes_are_answered_with_a_500(
    port: int, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    start = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".encode()
    answer = sent(port, start + lines + b"\r\n" + body, wait_s=0.2)
    assert status(answer) < 500


def test_after_all_that_it_still_decides(port: int, eventually: Callable[..., Any]) -> None:
    eventually(lambda: ask(port, "POST", "/v1/decide", saved(photo(), "PNG"), PNG)[0] == 200)
