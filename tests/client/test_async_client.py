from __future__ import annotations

import asyncio

import pytest

from gatekeeper.client import AsyncClient, ServiceError
from gatekeeper.errors import InputError


def test_all_of_it_at_once(service, photo):
    async def ask():
        async with AsyncClient(service, connections=4) as client:
            many = asyncio.gather(*(client.decide(photo(grey)) for grey in [200, 20] * 8))
            batch = client.decide_batch([photo(200), b"no image"])
            return await client.ready(), await many, await batch

    ready, answers, batch = asyncio.run(ask())
    assert ready
    assert [answer.accepted for answer in answers] == [True, False] * 8
    assert batch[0].class_name == "bright"
    assert isinstance(batch[1], ServiceError)


def test_the_loop_is_not_blocked_and_options_are_passed_on(script):
    script.say(429, {"error": {"code": "c", "message": "m"}}, Retry_After="1")

    async def ask():
        async with AsyncClient(script.url, patience_s=0) as client:
            with pytest.raises(ServiceError) as caught:
                await client.feedback(1, request_id="r")
            return caught.value.status

    assert asyncio.run(ask()) == 429


def test_a_client_without_connections():
    with pytest.raises(InputError, match="connections"):
        AsyncClient("http://h", connections=0)
