"""Work ends with its client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from gatekeeper.service.connection import while_connected


def request(gone: asyncio.Event) -> Request:
    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def test_the_result_of_a_client_that_stays() -> None:
    async def scenario() -> int:
        return await while_connected(request(asyncio.Event()), asyncio.sleep(0, 7))

    assert asyncio.run(scenario()) == 7


def test_errors_pass() -> None:
    async def broken() -> None:
        raise KeyError("broken")

    async def scenario() -> None:
        await while_connected(request(asyncio.Event()), broken())

    with pytest.raises(KeyError):
        asyncio.run(scenario())


def test_work_of_a_client_that_left_is_cancelled() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def scenario() -> None:
        gone = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, gone.set)
        with pytest.raises(ClientDisconnect):
            await while_connected(request(gone), work())
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert ended == ["cancelled"]
