from __future__ import annotations

import socket

import pytest

from gatekeeper.client import Client, ServiceError, UnreachableError
from gatekeeper.errors import InputError

OK = {"right": None}


def busy(code="overloaded"):
    return {"error": {"code": code, "message": "come back", "request_id": "r"}}


def tell(client):
    return client.feedback(0, decision_id="d")


def test_it_comes_back_when_the_service_says(script, connect, pauses):
    script.say(429, busy(), Retry_After="3")
    script.say(503, busy("not_ready"), Retry_After="1")
    script.say(200, OK)
    assert tell(connect()) == OK
    assert len(script.asked) == 3
    assert 3 <= pauses[0] <= 3 * 1.25
    assert 1 <= pauses[1] <= 1.25


def test_without_a_time_pauses_double_up_to_a_limit(script, connect, pauses):
    for _ in range(9):
        script.say(429, busy())
    script.say(200, OK)
    assert tell(connect()) == OK
    expected = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert [low <= pause <= 1.25 * low for low, pause in zip(expected, pauses, strict=True)] == [
        True
    ] * 9


@pytest.mark.parametrize("date", ["Wed, 21 Oct 2026 07:28:00 GMT", "soon"])
def test_a_time_that_is_no_number_of_seconds_is_none(script, connect, pauses, date):
    script.say(429, busy(), Retry_After=date)
    script.say(200, OK)
    assert tell(connect()) == OK
    assert 0.1 <= pauses[0] <= 0.125


def test_patience_ends(script, connect, pauses):
    script.say(429, busy(), Retry_After="4")
    with pytest.raises(ServiceError, match="come back") as caught:
        tell(connect(patience_s=10))
    assert (caught.value.status, caught.value.code) == (429, "overloaded")
    assert len(pauses) == 2
    assert sum(pauses) <= 10


def test_a_time_beyond_the_patience_is_not_waited_for(script, connect, pauses):
    script.say(429, busy(), Retry_After="3600")
    with pytest.raises(ServiceError):
        tell(connect(patience_s=10))
    assert (pauses, len(script.asked)) == ([], 1)


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500, 504])
def test_other_refusals_are_final(script, connect, pauses, status):
    script.say(status, busy("code"), X_Request_ID="r7")
    with pytest.raises(ServiceError) as caught:
        tell(connect())
    assert (caught.value.status, caught.value.code) == (status, "code")
    assert caught.value.request_id == "r7"
    assert pauses == []


def test_a_proxy_in_between_is_told_apart(script, connect):
    script.say(502, b"<html>Bad Gateway</html>")
    with pytest.raises(ServiceError, match="got status 502") as caught:
        tell(connect())
    assert caught.value.code == "unknown"


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[1]", b""])
def test_something_else_that_answers_is_not_asked_again(script, connect, body, pauses):
    script.say(200, body)
    with pytest.raises(UnreachableError, match="check the address"):
        tell(connect())
    assert pauses == []


def test_a_service_that_hangs_up_is_asked_again(script, connect, pauses):
    script.say(0)
    script.say(200, OK)
    assert tell(connect()) == OK
    assert len(pauses) == 1


def test_connections_are_kept(script, connect):
    script.say(200, OK)
    client = connect()
    for _ in range(5):
        tell(client)
    assert script.connections == 1


def test_a_kept_connection_that_was_closed_costs_no_pause(script, connect, pauses):
    script.say(200, OK)
    script.say(0)
    script.say(200, OK)
    client = connect()
    tell(client)
    assert tell(client) == OK
    assert (pauses, script.connections) == ([], 2)


def test_nobody_there():
    pauses = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = Client(url, patience_s=0.5, sleep=pauses.append)
        with pytest.raises(UnreachableError, match="expected an answer of"):
            client.decide(b"x")
    assert 1 <= len(pauses) <= 3


def test_an_answer_that_takes_too_long():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=r"timed out|TimeoutError"):
            Client(url, timeout_s=0.05, patience_s=0).decide(b"x")


def test_an_address_with_a_path(script, connect, pauses):
    script.say(200, OK)
    with Client(f"{script.url}/gate/", sleep=pauses.append) as client:
        tell(client)
    assert script.asked[0][1] == "/gate/v1/feedback"


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8080", "ftp://h", "http://", "http://u:p@h", "http://h?key=s", "http://h:x", ""],
)
def test_what_is_no_address(url):
    with pytest.raises(InputError, match="expected an address"):
        Client(url)


@pytest.mark.parametrize("wrong", [{"timeout_s": 0}, {"patience_s": -1}])
def test_numbers_that_cannot_be_meant(wrong):
    with pytest.raises(InputError, match="timeout_s above 0"):
        Client("http://h", **wrong)


def test_a_secure_address_is_asked_over_tls(script, pauses):
    # The server speaks no TLS: the handshake fails instead of falling back to plain text.
    url = script.url.replace("http:", "https:")
    with pytest.raises(UnreachableError, match="SSL"):
        Client(url, patience_s=0).decide(b"x")
    assert script.asked == []
