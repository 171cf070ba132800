"""Request ids: the client's own where it is harmless, else a new one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.service.envelope import Envelope, request_id_of
from gatekeeper.service.host import Host
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.settings import Settings


@pytest.mark.parametrize("given", ["a", "7f3c-11:trace/1", "~" * 128])
def test_harmless_id_is_echoed(client: TestClient, given: str) -> None:
    answer = client.get("/nowhere", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given
    assert answer.json()["error"]["request_id"] == given


@pytest.mark.parametrize(
    "given",
    [b"", b"a" * 129, b"a b", b"a\tb", b"caf\xe9", b"a\r\nSet-Cookie: b=c", b"a\nb", b"\x1b[31m"],
)
def test_other_id_is_replaced(given: bytes) -> None:
    scope = {"type": "http", "headers": [(b"x-request-id", given)]}
    made = request_id_of(scope)
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert request_id_of(scope) == made


def test_ids_differ(client: TestClient) -> None:
    ids = {client.get("/healthz").headers["X-Request-ID"] for _ in range(5)}
    assert len(ids) == 5


def test_an_error_after_the_answer_began_is_not_hidden(
    fake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(scope: Any, receive: Any, send: Callable[..., Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("too late")

    metrics = ServiceMetrics(["/"])
    host = Host(lambda: fake, Settings(), metrics)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/", "headers": [], "method": "GET"}
    with pytest.raises(RuntimeError, match="too late"):
        asyncio.run(Envelope(breaks, host=host, metrics=metrics)(scope, None, send))  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert "too late" in caplog.text
