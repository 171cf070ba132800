"""A scripted server for what a service rarely does, and the real service over a small double."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pytest
import torch
import uvicorn
from PIL import Image

from gatekeeper.client import Client
from gatekeeper.decision import Action, Attempt, Decision, Reason
from gatekeeper.service import create_app
from gatekeeper.settings import Settings


@dataclass
class Script:
    """What to answer, in order, and what was asked; the last answer stays."""

    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    def say(self, status: int, body: Any = None, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, told, content))


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            script.connections += 1

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.asked.append((self.command, self.path, dict(self.headers), data))
            status, headers, content = (
                script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            )
            if status == 0:  # hang up without a word
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815  # the name that the base class looks for

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    yield script
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def connect(script: Script, pauses: list[float]) -> Iterator[Callable[..., Client]]:
    """A client of the scripted server that notes how long it would have waited."""
    with ExitStack() as open_clients:

        def make(**options: Any) -> Client:
            client = Client(script.url, sleep=pauses.append, **options)
            return open_clients.enter_context(client)

        yield make


class Bright:
    """Answers bright images and abstains on dark ones."""

    class_names = ("dark", "bright")
    model_id = "fake"
    calibration_id = "b" * 64
    image_size = (4, 4)
    certificate = {  # noqa: RUF012  # as the protocol has it
        "certified": True,
        "target_risk": 0.05,
        "confidence_level": 0.95,
        "reason": None,
    }

    def decide(self, images: torch.Tensor) -> list[Decision]:
        return [self._judge(float(image.mean())) for image in images]

    def canary(self) -> Decision:
        return self._judge(1.0)

    def _judge(self, mean: float) -> Decision:
        good = mean > 0.5
        action = Action.ACCEPT if good else Action.ABSTAIN
        attempts = [Attempt(restorer=None, label=1, reliability=0.97, action=action)]
        if not good:
            attempts = [
                Attempt(restorer=None, label=0, reliability=0.3, action=Action.RESTORE),
                Attempt(restorer="median", label=1, reliability=0.55, action=action),
            ]
        return Decision(
            action=action,
            reason=Reason.ACCEPTED_RAW if good else Reason.STILL_UNRELIABLE,
            label=1 if good else None,
            reliability=0.96 if good else 0.5,
            attempts=tuple(attempts),
            policy="restore",
            certified=True,
            model_id=self.model_id,
            calibration_id=self.calibration_id,
            symptoms=() if good else ("under-exposed",),
        )


@contextmanager
def running(gatekeeper: Any, **settings: Any) -> Iterator[str]:
    """The address of the real service, in a thread."""
    chosen = Settings(**settings)
    config = uvicorn.Config(
        create_app(chosen, lambda: gatekeeper), lifespan="on", ws="none", log_config=None
    )
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def wait_until_ready(url: str) -> None:
    tick = threading.Event()
    with Client(url) as client:
        for _ in range(1000):
            if client.ready():
                return
            tick.wait(0.01)
    pytest.fail("the service did not become ready")


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """Its address, once it is ready."""
    with running(Bright(), max_images=4, max_body_bytes=20_000) as url:
        wait_until_ready(url)
        yield url


def encoded(grey: int) -> bytes:
    out = BytesIO()
    Image.new("RGB", (6, 5), (grey, grey, grey)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def photo() -> Callable[[int], bytes]:
    return encoded
