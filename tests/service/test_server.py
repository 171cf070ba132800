"""A real server on the loopback: what a client sees on the wire, and how the process ends."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from threadpoolctl import ThreadpoolController, threadpool_info

from gatekeeper.errors import BundleError, InputError
from gatekeeper.service import create_app, serve
from gatekeeper.service.server import _config, _listen
from gatekeeper.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PNG = {"Content-Type": "image/png"}


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("gatekeeper", "uvicorn")]
    before = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    yield
    for each, handlers, level, propagate in before:
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)


@contextmanager
def running(load: Callable[[], Any], **settings: Any) -> Iterator[int]:
    """The port of a server in a thread, with the configuration of ``serve``."""
    chosen = Settings(port=0, shutdown_timeout_s=1, **settings)
    listener = _listen(chosen)
    server = uvicorn.Server(_config(create_app(chosen, load), chosen))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def ask(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, Any]:
    """Status, JSON and headers of one request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers
    finally:
        connection.close()


def text(port: int, path: str) -> str:
    """The body of an answer as text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.fixture
def port(fake: Any, eventually: Callable[..., None]) -> Iterator[int]:
    with running(lambda: fake, max_body_bytes=600_000, body_timeout_s=0.4) as port:
        eventually(lambda: ask(port, "GET", "/readyz")[0] == 200)
        yield port


def test_two_at_once_over_the_wire(port: int, image_file: Callable[..., bytes]) -> None:
    def decide(grey: int) -> tuple[int, Any, Any]:
        return ask(port, "POST", "/v1/decide", image_file(grey=grey), PNG)

    with ThreadPoolExecutor(2) as pool:
        dark, bright = pool.map(decide, [0, 255])
    assert (dark[0], dark[1]["action"]) == (200, "abstain")
    assert (bright[0], bright[1]["class_name"]) == (200, "bag")
    assert "Server" not in bright[2]


def test_chunked_image(port: int, image_file: Callable[..., bytes]) -> None:
    data = image_file()
    chunks = iter([data[:20], data[20:]])
    assert ask(port, "POST", "/v1/decide", chunks, PNG)[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_body_gets_its_answer(port: int, chunked: bool) -> None:
    size = 2_000_000
    body = iter([b"x" * 50_000] * 40) if chunked else b"x" * size
    status, answer, headers = ask(port, "POST", "/v1/decide", body, PNG)
    assert (status, answer["error"]["code"]) == (413, "body_too_large")
    assert headers["Connection"] == "close"
    assert ask(port, "GET", "/healthz")[0] == 200


def raw(port: int, request: bytes) -> bytes:
    """All that the server answers to these bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_slow_body_is_cut_off(port: int) -> None:
    head = b"POST /v1/decide HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
    answer = raw(port, head + b"Content-Length: 10\r\n\r\n12345")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body_timeout"' in answer


def test_request_id_cannot_smuggle_a_header(port: int) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-ID: "
    for given in (b"a\rSet-Cookie: b=c", b"\xe9\xff", b"a" * 129):
        answer = raw(port, head + given + b"\r\n\r\n")
        assert b"Set-Cookie" not in answer
        assert given not in answer
        assert re.match(rb"HTTP/1\.1 (400|200) ", answer)


def test_small_answers_do_not_wait_for_an_acknowledgement() -> None:
    with _listen(Settings(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio asks before TCP_NODELAY


def test_a_server_that_cannot_load_ends_with_2(capfd: pytest.CaptureFixture[str]) -> None:
    def load() -> Any:
        raise BundleError("expected the listed sha256 of gate.json, got another: fetch it again")

    assert serve(load, Settings(port=0)) == 2
    log = capfd.readouterr().err
    assert "listening on http://127.0.0.1:" in log
    assert "ERROR gatekeeper.service: the bundle cannot be served: expected the listed" in log
    assert "Traceback" not in log


def test_small_products_of_a_server_take_one_thread() -> None:
    seen = []

    def load() -> Any:
        seen.append({e["num_threads"] for e in threadpool_info() if e["user_api"] == "blas"})
        raise BundleError("enough")

    with ThreadpoolController().limit(limits=2, user_api="blas"):
        assert serve(load, Settings(port=0)) == 2
    assert seen == [{1}]


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"listen on 127.0.0.1 port {port}, got .* in use"):
            serve(pytest.fail, Settings(port=port))


PROGRAM = """
import runpy, sys, time
from pathlib import Path
from gatekeeper.service import serve
from gatekeeper.settings import Settings
fake = runpy.run_path(sys.argv[1])["FakeGatekeeper"]

class Slow(fake):
    "Decides only while a file is not there, which stands for hard work."
    def decide(self, images):
        while len(sys.argv) > 2 and Path(sys.argv[2]).exists():
            time.sleep(0.01)
        return super().decide(images)

sys.exit(serve(Slow, Settings(port=0, shutdown_timeout_s=20)))
"""


@contextmanager
def process_serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A ready server in a process of its own, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(ROOT / "tests" / "service" / "conftest.py"),
         *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        log = ""
        while "ready: bundle" not in log:
            line = process.stderr.readline()
            assert line, f"it ended early:\n{log}"
            log += line
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", log)
        assert found
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate(timeout=15)


def test_an_idle_server_ends_in_order(image_file: Callable[..., bytes]) -> None:
    with process_serving() as (process, port):
        assert ask(port, "POST", "/v1/decide?key=secret", image_file(), PNG)[0] == 200
        process.send_signal(signal.SIGINT)
        log = process.communicate(timeout=15)[1]
    assert process.returncode == 0, log
    assert "secret" not in log
    assert "Traceback" not in log


def test_draining_loses_no_accepted_request_and_takes_no_new_one(
    tmp_path: Path, image_file: Callable[..., bytes], eventually: Callable[..., None]
) -> None:
    busy = tmp_path / "busy"
    with process_serving(busy) as (process, port), ThreadPoolExecutor(12) as pool:
        busy.touch()
        answers = [
            pool.submit(ask, port, "POST", "/v1/decide", image_file(grey=grey), PNG)
            for grey in (0, 255) * 6
        ]
        eventually(lambda: "gatekeeper_in_flight 12.0" in text(port, "/metrics"))
        process.send_signal(signal.SIGTERM)
        eventually(lambda: ask(port, "GET", "/readyz")[0] == 503)
        assert ask(port, "GET", "/readyz")[1]["error"]["code"] == "draining"
        assert ask(port, "GET", "/v2/health/ready")[0] == 503
        assert ask(port, "GET", "/healthz")[0] == 200
        assert "gatekeeper_ready 0.0" in text(port, "/metrics")
        status, body, headers = ask(port, "POST", "/v1/decide", image_file(), PNG)
        assert (status, body["error"]["code"]) == (503, "draining")
        assert (headers["Connection"], headers["Retry-After"]) == ("close", "1")
        busy.unlink()
        assert [each.result(10)[0] for each in answers] == [200] * 12
        actions = [each.result()[1]["action"] for each in answers]
        assert actions == ["abstain", "accept"] * 6
        log = process.communicate(timeout=15)[1]
    assert process.returncode == 0, log
    assert "draining: 12 requests under way" in log


def test_a_second_signal_ends_it_at_once(
    tmp_path: Path, image_file: Callable[..., bytes], eventually: Callable[..., None]
) -> None:
    busy = tmp_path / "busy"
    with process_serving(busy) as (process, port), ThreadPoolExecutor(1) as pool:
        busy.touch()
        lost = pool.submit(ask, port, "POST", "/v1/decide", image_file(), PNG)
        eventually(lambda: "gatekeeper_in_flight 1.0" in text(port, "/metrics"))
        process.send_signal(signal.SIGTERM)
        eventually(lambda: ask(port, "GET", "/readyz")[0] == 503)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM
        with pytest.raises((http.client.HTTPException, OSError)):
            lost.result(10)
