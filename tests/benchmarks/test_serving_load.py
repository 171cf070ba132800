"""The load generator: arrivals, and what it records of a server that we write here."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import serving_load
from benchmarks.serving_load import NO_REPLY, REFUSED, Record, arrivals, request_bytes, run

REQUEST = {"method": "POST", "path": "/a", "headers": {"X-B": "c"}, "body": "aGk="}


def test_arrivals_are_poisson_by_phase() -> None:
    times = arrivals([{"rate": 200, "seconds": 10}, {"rate": 0, "seconds": 5}], seed=0)
    assert times == sorted(times) == arrivals([{"rate": 200, "seconds": 10}], seed=0)
    assert len(times) == pytest.approx(2000, rel=0.1)
    gaps = np.diff(times)
    assert gaps.mean() == pytest.approx(1 / 200, rel=0.1)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.1)  # as of the exponential distribution
    later = arrivals([{"rate": 0, "seconds": 3}, {"rate": 50, "seconds": 1}], seed=0)
    assert min(later) > 3


def test_a_request_as_it_goes_over_the_wire() -> None:
    assert request_bytes("POST", "/a", {"X-B": "c"}, b"hi") == (
        b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX-B: c\r\n\r\nhi"
    )


def test_a_record_knows_when_it_was_answered() -> None:
    assert Record(1.5, 0.25, 200, 0).done == 1.75


def served(answer: Callable[[bytes], bytes | None], **plan: Any) -> list[Record]:
    """Records of a plan against a server that answers each request so; None closes on it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                given = answer(await reader.readexactly(2))
                if given is None:
                    break
                writer.write(given)
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()

    async def scenario() -> list[Record]:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            common = {"port": port, "requests": [REQUEST], "timeout_s": 5}
            return await run({**common, **plan})

    return asyncio.run(scenario())


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SHED = b"HTTP/1.1 429 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def test_an_open_loop_sends_all_of_its_plan() -> None:
    seen: list[bytes] = []

    def answer(body: bytes) -> bytes:
        seen.append(body)
        return GOOD if len(seen) % 2 else SHED

    records = served(answer, phases=[{"rate": 100, "seconds": 0.5}], seed=3)
    assert len(records) == len(seen) == len(arrivals([{"rate": 100, "seconds": 0.5}], 3))
    assert {record.status for record in records} == {200, 429}
    assert sorted(r.at for r in records) == arrivals([{"rate": 100, "seconds": 0.5}], 3)
    assert all(record.latency >= 0 for record in records)


def test_weights_choose_the_requests() -> None:
    other = {**REQUEST, "body": base64.b64encode(b"no").decode()}
    seen: list[bytes] = []

    def answer(body: bytes) -> bytes:
        seen.append(body)
        return GOOD

    records = served(
        answer, requests=[REQUEST, other], weights=[0, 1], phases=[{"rate": 50, "seconds": 0.4}],
        seed=0,
    )  # fmt: skip
    assert set(seen) == {b"no"}
    assert {record.kind for record in records} == {1}


def test_a_closed_loop_reuses_connections_and_ends() -> None:
    records = served(lambda _: GOOD, clients=2, seconds=0.2)
    assert len(records) > 4
    assert {record.status for record in records} == {200}


def test_requests_without_an_answer_are_counted() -> None:
    records = served(lambda _: None, clients=1, seconds=0.1, fresh=True)
    assert {record.status for record in records} == {NO_REPLY}


def test_no_connection_is_no_lost_reply(tmp_path: Path) -> None:
    plan = {"port": 1, "requests": [REQUEST], "timeout_s": 2, "clients": 1, "seconds": 0.05}
    (tmp_path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    serving_load.main(tmp_path / "plan.json", tmp_path / "records.json")
    rows = json.loads((tmp_path / "records.json").read_text(encoding="utf-8"))
    assert {status for _, _, status, _ in rows} == {REFUSED}
