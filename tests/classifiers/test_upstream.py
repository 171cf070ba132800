"""Asking a real server on the loopback that fails in every way it can."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gatekeeper.classifiers.breaker import BreakerState, CircuitBreaker
from gatekeeper.classifiers.upstream import (
    Call,
    Upstream,
    UpstreamAnswerError,
    UpstreamDownError,
    UpstreamRefusedError,
)
from gatekeeper.errors import InputError
from tests.upstream import LocalUpstream, serving


@pytest.fixture
def local() -> Iterator[LocalUpstream]:
    with serving(LocalUpstream()) as local:
        yield local


def status(upstream: Upstream, **more: Any) -> int:
    return upstream.ask(Call(suffix="/v2/models/net"), lambda reply: reply.status, **more)


def test_connections_are_used_again_and_a_stale_one_is_replaced(local: LocalUpstream) -> None:
    upstream = Upstream(local.url, retries=0)
    assert [status(upstream) for _ in range(3)] == [200] * 3
    assert len(upstream._idle) == 1
    upstream._idle[0].sock.shutdown(socket.SHUT_RDWR)  # as a server that tidies up would
    assert status(upstream) == 200
    assert len(local.seen) == 4  # the broken attempt reached nobody
    local.fault = "close"
    assert status(upstream) == 200


@pytest.mark.parametrize(
    ("fault", "asked", "sentence"),
    [("500", 1, "the upstream says 500"), ("502", 1, "says 502"), ("302", 1, "says 302"),
     ("drop", 1, "it closed the connection"), ("503", 3, "says 503"), ("429", 3, "says 429")],
)  # fmt: skip
def test_only_what_was_not_computed_is_asked_again(
    local: LocalUpstream, fault: str, asked: int, sentence: str
) -> None:
    local.fault = fault
    pauses: list[float] = []
    upstream = Upstream(local.url, retries=2, sleep=pauses.append)
    with pytest.raises(UpstreamDownError, match=sentence):
        status(upstream)
    assert len(local.seen) == asked
    assert pauses == [0.05] * (asked - 1)


def test_retry_after_is_waited_for_where_there_is_time(local: LocalUpstream) -> None:
    local.fault, local.retry_after = "503", "2"

    def recover(pause: float) -> None:
        assert pause == 2.0
        local.fault = ""

    assert status(Upstream(local.url, timeout_s=5.0, sleep=recover)) == 200
    local.fault = "503"
    with pytest.raises(UpstreamDownError) as told:
        status(Upstream(local.url, timeout_s=1.0, sleep=pytest.fail))
    assert told.value.retry_after_s == 2.0


@pytest.mark.parametrize("fault", ["hang", "trickle"])
def test_time_is_bounded_and_a_timeout_is_never_asked_again(
    local: LocalUpstream, fault: str
) -> None:
    local.fault = fault
    began = time.monotonic()
    with pytest.raises(UpstreamDownError, match=r"within 5 s, got none in time"):
        status(Upstream(local.url, retries=3), timeout_s=0.2)
    assert len(local.seen) == 1
    assert time.monotonic() - began < 5


def test_a_refusal_is_no_failure_of_the_upstream(local: LocalUpstream) -> None:
    local.fault = "404"
    upstream = Upstream(local.url, breaker=CircuitBreaker(failures=1))
    for _ in range(3):
        with pytest.raises(UpstreamRefusedError, match="it says 404") as told:
            status(upstream)
        assert told.value.status == 404
    assert upstream.breaker.state is BreakerState.CLOSED


def test_nobody_there_opens_the_breaker(local: LocalUpstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    upstream = Upstream(
        f"http://127.0.0.1:{port}", retries=0, breaker=CircuitBreaker(failures=2, reset_s=60)
    )
    for _ in range(2):
        with pytest.raises(UpstreamDownError, match="got no connection"):
            status(upstream)
    with pytest.raises(UpstreamDownError, match="failed 2 times in a row") as told:
        status(upstream)
    assert 59 < told.value.retry_after_s <= 60


def test_what_reading_refuses_counts_as_a_failure(local: LocalUpstream) -> None:
    def read(_: object) -> None:
        raise UpstreamAnswerError("nonsense")

    upstream = Upstream(local.url, breaker=CircuitBreaker(failures=1))
    with pytest.raises(UpstreamAnswerError, match="nonsense"):
        upstream.ask(Call(suffix="/v2/models/net"), read)
    assert upstream.breaker.state is BreakerState.OPEN


def test_answers_are_bounded(local: LocalUpstream) -> None:
    local.fault = "huge"
    with pytest.raises(UpstreamAnswerError, match="at most 10000 bytes"):
        status(Upstream(local.url, max_answer_bytes=10_000))


def test_the_token_comes_from_the_environment(
    local: LocalUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_TOKEN", "secret")
    variable = "UPSTREAM_TOKEN"
    status(Upstream(local.url + "/", token_env=variable))
    assert local.seen[-1][2]["authorization"] == "Bearer secret"
    assert local.seen[-1][1] == "/v2/models/net"
    monkeypatch.setenv("UPSTREAM_TOKEN", "two\nlines")
    with pytest.raises(InputError, match="environment variable UPSTREAM_TOKEN"):
        Upstream(local.url, token_env=variable)


@pytest.mark.parametrize(
    "url",
    ["", "example.org", "ftp://example.org", "http://", "http://a:b@example.org",
     "http://example.org?a=b", "http://example.org#a", "http://example.org:99999",
     "http://exa mple.org", "file:///etc/passwd", "http://[::1", "http://ä.org"],
)  # fmt: skip
def test_addresses_that_cannot_be_meant(url: str) -> None:
    with pytest.raises(InputError, match="expected an"):
        Upstream(url)


@pytest.mark.parametrize("given", [{"timeout_s": 0.0}, {"retries": -1}])
def test_bounds_that_cannot_be_meant(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="timeout above 0 and retries of at least 0"):
        Upstream("http://example.org", **given)
