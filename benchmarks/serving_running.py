"""Servers and load of the benchmark `serving`: processes, started, waited for and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.kept import ROOT
from benchmarks.serving_gate import noisy, photos
from benchmarks.serving_load import NO_REPLY, Record
from benchmarks.serving_servers import ready_path
from gatekeeper.errors import DataError

TIMEOUT_S = 60.0
STOP_S = 40.0
OK = 200

_START_S = 240.0
_TICK_S = 0.2
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        nets: Which networks.
        side: Height and width of the images.
        clients: Concurrency of the closed loops.
        seconds: Of each measurement, after as long a warm-up as a third of it.
        rounds: How often each throughput is measured.
        threads: Threads of each server's forward pass.
        n_images: Photographs that the gate is fitted on.
        seeds: Of the poison, and of nothing else.
    """

    nets: tuple[str, ...] = ("resnet50", "small")
    side: int = 224
    clients: tuple[int, ...] = (1, 16, 64)
    seconds: float = 8.0
    rounds: int = 3
    threads: int = 2
    n_images: int = 24
    seeds: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server.

    Attributes:
        system: Which.
        port: Where it listens, on this machine.
        process: Its process.
    """

    system: str
    port: int
    process: subprocess.Popen[bytes]


@contextmanager
def server(
    system: str,
    scale: Scale,
    *,
    net: str = "small",
    side: int | None = None,
    bundle: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
    **settings: str,
) -> Iterator[Server]:
    """A server that is ready, in a process group of its own; ended afterwards.

    Args:
        system: Which.
        scale: Gives its threads, and the side of its images where ``side`` does not.
        net: Which network.
        side: Height and width of its images.
        bundle: What is served: a folder, or a URI of the registry.
        environ: More variables of its environment.
        settings: Of the service.

    Raises:
        DataError: it does not become ready; the message has the end of its log.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.serving_servers", system, "--port", str(port)]
    command += ["--net", net, "--side", str(side or scale.side)]
    command += ["--bundle", str(bundle)] if bundle else []
    for name, value in settings.items():
        command += ["--set", name, value]
    threads = str(scale.threads)
    whole = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    whole |= environ or {}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603  # this interpreter, our own module
            command, cwd=ROOT, env=whole, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(system, port, process, log)
            yield Server(system=system, port=port, process=process)
        finally:
            _end(process)


def _wait(system: str, port: int, process: subprocess.Popen[bytes], log: Any) -> None:  # noqa: ANN401
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        if _status(port, ready_path(system)) == OK:
            return
        time.sleep(_TICK_S)
    log.seek(0)
    told = log.read().decode(errors="replace")[-2000:]
    raise DataError(f"expected {system} to become ready within {_START_S:g} s, got:\n{told}")


def _status(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return NO_REPLY
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    # Its workers, too; how a server ends in order is a cell of its own.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def load(running: Server, requests: Sequence[Mapping[str, Any]], **plan: object) -> list[Record]:
    """What the load generator, a process of its own, recorded."""
    whole = {"port": running.port, "requests": list(requests), "timeout_s": TIMEOUT_S, **plan}
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "plan.json", Path(folder) / "records.json"
        given.write_text(json.dumps(whole), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.serving_load", str(given), str(found)]
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603
        return [Record(*row) for row in json.loads(found.read_text(encoding="utf-8"))]


def jpegs(side: int, n: int = 16, *, noise: bool = False) -> list[bytes]:
    """Photographs as files."""
    images = photos(n, side, seed=1)
    images = noisy(images) if noise else images
    files = []
    for image in images:
        pixels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        out = BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=_JPEG_QUALITY)
        files.append(out.getvalue())
    return files


def quantile(values: Sequence[float], share: float) -> float:
    """Of the values; 0 where there are none."""
    return float(np.quantile(values, share)) if len(values) else 0.0


def statuses(records: Sequence[Record]) -> dict[str, int]:
    """How many records have which status."""
    return {str(status): n for status, n in sorted(Counter(r.status for r in records).items())}
