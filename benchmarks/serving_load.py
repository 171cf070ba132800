"""The load generator of the benchmark `serving`, a process of its own.

    python -m benchmarks.serving_load PLAN.json RECORDS.json

Open loop: arrivals are drawn beforehand (Poisson, seeded) and sent whatever the server does; the
latency of a request counts from when it was meant to be sent, so that a server that stalls does not
hide the requests which it kept from being sent. Closed loop: so many clients, each with one
request at a time.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

REFUSED = -1
NO_REPLY = 0
"""Statuses of requests without an answer: the connection was refused, or closed on the request."""

_MOST_OPEN = 1500


@dataclass(frozen=True, slots=True)
class Record:
    """One request.

    Attributes:
        at: When it was meant to be sent, in seconds since the start.
        latency: Seconds from then to its answer.
        status: Of the answer; 0 where there is none, −1 where there was no connection.
        kind: Which of the plan's requests it was.
    """

    at: float
    latency: float
    status: int
    kind: int

    @property
    def done(self) -> float:
        """When it was answered, in seconds since the start."""
        return self.at + self.latency


def request_bytes(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def arrivals(phases: Sequence[Mapping[str, float]], seed: int) -> list[float]:
    """When requests are sent: phases of a ``rate`` per second that last ``seconds`` each."""
    rng = np.random.default_rng(seed)
    start, times = 0.0, []
    for phase in phases:
        end = start + phase["seconds"]
        at = start
        while phase["rate"] > 0 and (at := at + rng.exponential(1 / phase["rate"])) < end:
            times.append(float(at))
        start = end
    return times


class Client:
    """Keeps connections and reuses them.

    Args:
        port: Of the server, on this machine.
        fresh: Whether every request has a connection of its own.
    """

    def __init__(self, port: int, *, fresh: bool = False) -> None:
        self._port = port
        self._fresh = fresh
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes, timeout_s: float) -> int:
        """Status of the answer, 0 or −1 where there is none."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(request)
        except TimeoutError:
            return NO_REPLY

    async def _ask(self, request: bytes) -> int:
        reused = bool(self._idle)
        if not reused:
            try:
                connection = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                return REFUSED
        else:
            connection = self._idle.pop()
        try:
            status, keep = await _exchange(*connection, request)
        except (OSError, EOFError):
            connection[1].close()
            # An idle connection may have been closed just before: that is nobody's fault.
            return await self._ask(request) if reused else NO_REPLY
        if keep and not self._fresh:
            self._idle.append(connection)
        else:
            connection[1].close()
        return status

    def close(self) -> None:
        """Close what is idle."""
        for _, writer in self._idle:
            writer.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bool]:
    writer.write(request)
    with suppress(ConnectionError):  # its answer may be there although it read no further
        await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    _, found, rest = head.partition(b"content-length:")
    if found:
        await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
    return status, bool(found) and b"connection: close" not in head


async def run(plan: Mapping[str, Any]) -> list[Record]:
    """Send what a plan says; one record per request."""
    requests = [
        request_bytes(each["method"], each["path"], each["headers"], base64.b64decode(each["body"]))
        for each in plan["requests"]
    ]
    client = Client(plan["port"], fresh=plan.get("fresh", False))
    try:
        if "clients" in plan:
            return await _closed(client, requests, plan)
        return await _open(client, requests, plan)
    finally:
        client.close()


async def _closed(
    client: Client, requests: Sequence[bytes], plan: Mapping[str, Any]
) -> list[Record]:
    records: list[Record] = []
    start = time.perf_counter()
    order = itertools.count()

    async def one() -> None:
        while (at := time.perf_counter() - start) < plan["seconds"]:
            kind = next(order) % len(requests)
            status = await client.ask(requests[kind], plan["timeout_s"])
            records.append(Record(at, time.perf_counter() - start - at, status, kind))
            if status <= 0:
                await asyncio.sleep(0.01)

    await asyncio.gather(*(one() for _ in range(plan["clients"])))
    return records


async def _open(client: Client, requests: Sequence[bytes], plan: Mapping[str, Any]) -> list[Record]:
    times = arrivals(plan["phases"], plan["seed"])
    weights = np.asarray(plan.get("weights") or [1.0] * len(requests))
    rng = np.random.default_rng(plan["seed"] + 1)
    kinds = rng.choice(len(requests), size=len(times), p=weights / weights.sum())
    records: list[Record] = []
    room = asyncio.Semaphore(_MOST_OPEN)
    start = time.perf_counter()

    async def one(at: float, kind: int) -> None:
        async with room:
            status = await client.ask(requests[kind], plan["timeout_s"])
        records.append(Record(at, time.perf_counter() - start - at, status, kind))

    async with asyncio.TaskGroup() as group:
        for at, kind in zip(times, kinds.tolist(), strict=True):
            await asyncio.sleep(max(0.0, start + at - time.perf_counter()))
            group.create_task(one(at, kind))
    return records


def main(plan_file: Path, records_file: Path) -> None:
    """Run a plan and write its records."""
    records = asyncio.run(run(json.loads(plan_file.read_text(encoding="utf-8"))))
    rows = [[each.at, each.latency, each.status, each.kind] for each in records]
    records_file.write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
