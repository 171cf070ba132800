"""The cells of the benchmark `serving`: one server and one kind of load each."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kept import ROOT
from benchmarks.serving_load import NO_REPLY, Record
from benchmarks.serving_running import (
    OK,
    STOP_S,
    TIMEOUT_S,
    Scale,
    Server,
    jpegs,
    load,
    quantile,
    server,
    statuses,
)
from benchmarks.serving_servers import post_of
from gatekeeper.errors import DataError

_LENIENT = {"deadline_s": "60", "max_concurrent": "256", "max_waiting": "1000"}
_BASELINE = 1.25
_WINDOW_S = 0.5
_SHED = 429
_FULL = 8
_POLL_S = 0.05
_GAUGE = "gatekeeper_in_flight "


def throughput(
    system: str, net: str, scale: Scale, bundle: Path | None, clients: Sequence[int]
) -> list[dict[str, Any]]:
    """Answers per second and latencies of a closed loop, one row per concurrency."""
    settings = _LENIENT if system in ("gate", "plain") else {}
    requests = [post_of(system, file) for file in jpegs(scale.side)]
    rows = []
    with server(system, scale, net=net, bundle=bundle, **settings) as running:
        for n in clients:
            begin = scale.seconds / 3
            records = load(running, requests, clients=n, seconds=begin + scale.seconds)
            measured = [r for r in records if begin <= r.done <= begin + scale.seconds]
            good = [r for r in measured if r.status == OK]
            latencies = [r.latency for r in good]
            rows.append(
                {
                    "cell": "throughput",
                    "system": system,
                    "net": net,
                    "clients": n,
                    "per_s": len(good) / scale.seconds,
                    "p50_ms": quantile(latencies, 0.5) * 1e3,
                    "p99_ms": quantile(latencies, 0.99) * 1e3,
                    "statuses": statuses(records),
                }
            )
    return rows


def idle(scale: Scale) -> dict[str, Any]:
    """Latency of a body of 1 MB of pixels, with nothing behind the service."""
    side = 577  # 577 · 577 · 3 bytes are 1 MB
    pixels = bytes(range(256)) * (side * side * 3 // 256 + 1)
    request = _tensor(pixels[: side * side * 3], side)
    with server("idle", scale, side=side) as running:
        load(running, [request], clients=1, seconds=scale.seconds / 3)
        records = load(running, [request], clients=1, seconds=scale.seconds)
    latencies = [r.latency * 1e3 for r in records if r.status == OK]
    row = {"cell": "idle", "p50_ms": quantile(latencies, 0.5), "p99_ms": quantile(latencies, 0.99)}
    return {**row, "requests": len(latencies), "statuses": statuses(records)}


def _tensor(pixels: bytes, side: int) -> dict[str, Any]:
    image = {"name": "image", "shape": [1, side, side, 3], "datatype": "UINT8"}
    node = {"inputs": [{**image, "parameters": {"binary_data_size": len(pixels)}}]}
    text = json.dumps(node).encode()
    return {
        "method": "POST",
        "path": "/v2/models/gatekeeper/infer",
        "headers": {"Inference-Header-Content-Length": str(len(text))},
        "body": base64.b64encode(text + pixels).decode(),
    }


def overload(
    scale: Scale, bundle: Path, capacity: float, deadline_s: float = 2.0
) -> dict[str, Any]:
    """An open loop at three times the capacity."""
    requests = [post_of("gate", file) for file in jpegs(scale.side)]
    settings = {"deadline_s": str(deadline_s), "max_concurrent": "256"}
    with server("gate", scale, bundle=bundle, **settings) as running:
        load(running, requests, clients=4, seconds=scale.seconds / 2)
        begin = scale.seconds / 2
        phases = [{"rate": 3 * capacity, "seconds": begin + scale.seconds}]
        records = load(running, requests, phases=phases, seed=0)
    measured = [r for r in records if r.at >= begin]
    accepted = [r.latency for r in measured if r.status == OK]
    in_time = [r for r in records if r.status == OK and r.latency <= deadline_s]
    done = [r for r in in_time if begin <= r.done <= begin + scale.seconds]
    shed = [r.latency for r in measured if r.status == _SHED]
    return {
        "cell": "overload",
        "capacity_per_s": capacity,
        "goodput": len(done) / scale.seconds / capacity,
        "accepted_p99_share": quantile(accepted, 0.99) / deadline_s,
        "shed_p99_ms": quantile(shed, 0.99) * 1e3,
        "shed": len(shed),
        "statuses": statuses(records),
    }


def burst(scale: Scale, bundle: Path, capacity: float) -> dict[str, Any]:
    """Half the capacity, ten times that for a while, and half again: how soon all is well."""
    requests = [post_of("gate", file) for file in jpegs(scale.side)]
    calm, peak = scale.seconds, min(5.0, scale.seconds / 2)
    phases = [
        {"rate": capacity / 2, "seconds": calm},
        {"rate": 5 * capacity, "seconds": peak},
        {"rate": capacity / 2, "seconds": calm * 1.5},
    ]
    with server("gate", scale, bundle=bundle, deadline_s="2", max_concurrent="256") as running:
        load(running, requests, clients=4, seconds=scale.seconds / 2)
        records = load(running, requests, phases=phases, seed=0)
    before = [r.latency for r in records if calm / 4 <= r.at < calm and r.status == OK]
    limit = _BASELINE * quantile(before, 0.95)
    end = calm + peak
    return {
        "cell": "burst",
        "baseline_p95_ms": quantile(before, 0.95) * 1e3,
        "recovery_s": recovery_s(records, end, limit),
        "lost_replies": sum(r.status <= NO_REPLY for r in records),
        "statuses": statuses(records),
    }


def recovery_s(records: Sequence[Record], end: float, limit: float) -> float:
    """From ``end`` until all half-second windows but one in ten have a p95 within the limit."""
    after = [r for r in records if r.at >= end and r.status == OK]
    last = max((r.at for r in after), default=end)
    starts = np.arange(end, last, _WINDOW_S)
    good = [
        quantile([r.latency for r in after if start <= r.at < start + _WINDOW_S], 0.95) <= limit
        for start in starts
    ]
    for k in range(len(good)):
        if good[k] and np.mean(good[k:]) >= 0.9:
            return float(k * _WINDOW_S)
    return float(last - end)


def mixed(scale: Scale, bundle: Path, capacity: float) -> dict[str, Any]:
    """Clean traffic alone, and the same amount with noisy and invalid files in it."""
    clean = [post_of("gate", file) for file in jpegs(scale.side)]
    noise = [post_of("gate", file) for file in jpegs(scale.side, noise=True)]
    broken = post_of("gate", b"no image")
    rate = [{"rate": 0.4 * capacity, "seconds": 2 * scale.seconds}]
    weights = [0.7 / len(clean)] * len(clean) + [0.25 / len(noise)] * len(noise) + [0.05]
    with server("gate", scale, bundle=bundle, max_concurrent="256") as running:
        load(running, [*clean, *noise], clients=4, seconds=scale.seconds / 2)
        alone = load(running, clean, phases=rate, seed=0)
        together = load(running, [*clean, *noise, broken], phases=rate, weights=weights, seed=0)
    before = [r.latency for r in alone if r.status == OK]
    among = [r.latency for r in together if r.status == OK and r.kind < len(clean)]
    return {
        "cell": "mixed",
        "rate_per_s": rate[0]["rate"],
        "clean_only_p95_ms": quantile(before, 0.95) * 1e3,
        "clean_p95_ms": quantile(among, 0.95) * 1e3,
        "ratio": quantile(among, 0.95) / max(quantile(before, 0.95), 1e-9),
        "statuses": statuses(together),
    }


def poison(scale: Scale) -> dict[str, Any]:
    """32 images at once, one of which makes every batch fail that it is in."""
    right = []
    with server("poison", scale, side=8, on_decide_error="reject") as running:
        for seed in range(scale.seeds):
            light = np.random.default_rng(seed).integers(0, 2, 32)
            at = int(np.random.default_rng(seed + 1).integers(32))
            pixels = np.repeat(light * 254, 8 * 8 * 3).reshape(32, 8, 8, 3).astype(np.uint8)
            pixels[at] = 200
            answers = _labels(running.port, pixels)
            right.append(
                sum(
                    int(a) == int(b)
                    for k, (a, b) in enumerate(zip(answers, light, strict=True))
                    if k != at
                )
            )
    return {"cell": "poison", "seeds": scale.seeds, "worst_right": min(right), "of": 31}


def _labels(port: int, pixels: np.ndarray) -> list[int]:
    image = {"name": "image", "shape": list(pixels.shape), "datatype": "UINT8"}
    node = {
        "inputs": [{**image, "parameters": {"binary_data_size": pixels.nbytes}}],
        "outputs": [{"name": "label"}],
    }
    text = json.dumps(node).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/v2/models/gatekeeper/infer", text + pixels.tobytes(), headers)
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    labels: list[int] = answer["outputs"][0]["data"] if "outputs" in answer else [-1] * len(pixels)
    return labels


def sigterm(scale: Scale, bundle: Path) -> dict[str, Any]:
    """SIGTERM at full load: what was sent and never answered."""
    requests = [post_of("gate", file) for file in jpegs(scale.side)]
    with server("gate", scale, bundle=bundle, **_LENIENT) as running:
        load(running, requests, clients=4, seconds=scale.seconds / 2)
        ending = threading.Thread(target=_end_when_full, args=(running, _FULL))
        ending.start()
        records = load(running, requests, clients=2 * _FULL, seconds=scale.seconds, fresh=True)
        ending.join()
        code = running.process.wait(STOP_S)
    return {
        "cell": "sigterm",
        "dropped": sum(r.status == NO_REPLY for r in records),
        "exit_code": code,
        "statuses": statuses(records),
    }


def _end_when_full(running: Server, in_flight: int) -> None:
    """Send SIGTERM once so many requests are under way."""
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until and _in_flight(running.port) < in_flight:
        time.sleep(_POLL_S)
    running.process.send_signal(signal.SIGTERM)


def _in_flight(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT_S) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(_GAUGE))


def bad_input(scale: Scale) -> dict[str, Any]:
    """Every case of the tests' lists of bad input, against a server as it is started."""
    from tests.service.bad_images import ACCEPTED, bad_images
    from tests.service.bad_requests import MAX_BODY, bad_requests

    worse, wrong, count = [], [], 0
    with server("idle", scale, side=8, max_body_bytes=str(MAX_BODY)) as running:
        cases: list[tuple[str, str, bytes, tuple[tuple[str, str], ...], set[int]]] = [
            (each.name, each.path, each.body, each.headers, {each.status})
            for each in bad_requests()
        ]
        for image in bad_images():
            expected = {OK} if image.expected == {ACCEPTED} else {422}
            expected |= {OK} if ACCEPTED in image.expected else set()
            png = (("Content-Type", "image/png"),)
            cases.append((image.name, "/v1/decide", image.data, png, expected))
        for name, path, body, headers, expected in cases:
            status = _posted(running.port, path, body, headers)
            count += 1
            worse += [name] if status >= 500 else []
            wrong += [] if status in expected else [f"{name}: {status}"]
    return {"cell": "bad_input", "cases": count, "5xx": worse, "wrong_code": wrong}


def _posted(port: int, path: str, body: bytes, headers: Sequence[tuple[str, str]]) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.putrequest("POST", path)
        if not any(name == "Content-Length" for name, _ in headers):
            connection.putheader("Content-Length", str(len(body)))
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection.getresponse().status
    except OSError:
        return NO_REPLY
    finally:
        connection.close()


def fuzz(seconds: int, corpora: Path | None = None) -> dict[str, Any]:
    """Both targets of `tests.fuzz`, fuzzed by coverage.

    Args:
        seconds: For each.
        corpora: Folder of what was found to be interesting before; None begins anew.

    Raises:
        DataError: a fuzzer did not run.
    """
    crashes: list[str] = []
    runs = {}
    for target in ("decode", "v2"):
        with tempfile.TemporaryDirectory() as anew:
            folder = Path(anew) if corpora is None else corpora / target
            before = set(folder.glob("*-*"))
            command = [sys.executable, "-m", "tests.fuzz", target, str(seconds), str(folder)]
            done = subprocess.run(  # noqa: S603
                command, cwd=ROOT, check=False, capture_output=True, text=True
            )
            # Whatever ends a fuzzer early leaves the input that did: crash-…, timeout-…, oom-….
            crashes += [path.name for path in set(folder.glob("*-*")) - before]
        counted = [line for line in done.stderr.splitlines() if "executed_units" in line]
        if not counted and not crashes:
            raise DataError(f"expected {target} to be fuzzed, got:\n{done.stderr[-2000:]}")
        runs[target] = int(counted[0].split()[-1]) if counted else 0
    return {"cell": "fuzz", "crashes": len(crashes), "runs": runs, "seconds": seconds}
