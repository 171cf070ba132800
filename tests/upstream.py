"""A classifier behind HTTP on the loopback, with faults to switch on."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from gatekeeper.wire import (
    HEADER_LENGTH,
    TensorSpec,
    encode_answer,
    model_metadata,
    numbers,
    parse_infer,
)

Model = Callable[[np.ndarray], np.ndarray]


def brightness(inputs: np.ndarray) -> np.ndarray:
    """Logits (B, 2) of inputs (B, 3, H, W): dark, bright; the mean decides."""
    means = inputs.reshape(len(inputs), -1).mean(axis=1)
    return np.stack([1.0 - 2.0 * means, 2.0 * means - 1.0], axis=1).astype(np.float32)


@dataclass
class LocalUpstream:
    """What the server does, and its diary.

    Attributes:
        model: Inputs (B, 3, H, W), floats, to numbers (B, K).
        datatype: Of the V2 input: FP32 (normalised by whoever asks), UINT8 or BYTES.
        outputs: Names of the V2 outputs; each gives the model's numbers.
        fault: "" or the name of a fault: a status such as "500", "hang", "drop", "garbage",
            "short" (a row too few), "trickle", "huge", "close" (answers and closes).
        retry_after: Sent with faults that are a status.
        seen: Method, path, headers and body of every request.
    """

    model: Model = brightness
    datatype: str = "FP32"
    outputs: tuple[str, ...] = ("logits",)
    fault: str = ""
    retry_after: str = ""
    url: str = ""
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    hang: threading.Event = field(default_factory=threading.Event)

    @property
    def v2(self) -> str:
        return f"{self.url}/v2/models/net"

    def count(self, end: str) -> int:
        return sum(path.endswith(end) for _, path, _, _ in self.seen)


@contextmanager
def serving(upstream: LocalUpstream) -> Iterator[LocalUpstream]:
    """Serve it on a free port until the context ends."""
    handler = type("Handler", (_Handler,), {"upstream": upstream})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a fault is no news
    server.block_on_close = False
    upstream.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield upstream
    finally:
        upstream.hang.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: LocalUpstream

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        pass

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, body: bytes) -> None:
        what = self.upstream
        headers = {name.lower(): value for name, value in self.headers.items()}
        what.seen.append((self.command, self.path, headers, body))
        if what.fault == "hang":
            what.hang.wait(10)
        if what.fault in {"hang", "drop"}:
            self.close_connection = True
        elif what.fault.isdigit():
            more = {"Retry-After": what.retry_after} if what.retry_after else {}
            self._send(b"{}", status=int(what.fault), **more)
        elif what.fault == "garbage":
            self._send(b"<html>")
        elif what.fault == "huge":
            self._send(b" " * 20_000)
        elif what.fault == "trickle":
            self._trickle()
        else:
            self._send(*self._answer(body, headers))
            self.close_connection = what.fault == "close"

    def _trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):
            while not self.upstream.hang.wait(0.02):
                self.wfile.write(b" ")

    def _answer(self, body: bytes, headers: dict[str, str]) -> tuple[Any, ...]:
        if self.path.endswith("/infer"):
            return self._infer(body, headers)
        if self.path.endswith("/traces"):
            return (b"{}",)  # a collector of traces, which takes everything
        if self.command == "GET":
            shape = (-1, 3, 8, 8) if self.upstream.datatype == "FP32" else (-1,)
            told = model_metadata(
                "net",
                "7",
                "numpy",
                inputs=[TensorSpec(name="x", datatype=self.upstream.datatype, shape=shape)],
                outputs=[
                    TensorSpec(name=name, datatype="FP32", shape=(-1, 2))
                    for name in self.upstream.outputs
                ],
            )
            return (json.dumps(told).encode(),)
        return (json.dumps(self._plain(body, headers)).encode(),)

    def _infer(self, body: bytes, headers: dict[str, str]) -> tuple[Any, ...]:
        given = headers.get(HEADER_LENGTH.lower())
        request = parse_infer(body, header_lengths=[] if given is None else [given])
        [tensor] = request.inputs
        if isinstance(tensor.elements, tuple):
            files = tensor.elements
            if tensor.parameters.get("content_type") == "base64":
                files = tuple(base64.b64decode(each) for each in files)
            inputs = np.stack([decoded(each) for each in files])
        elif tensor.datatype == "UINT8":
            inputs = tensor.elements.transpose(0, 3, 1, 2) / 255
        else:
            inputs = tensor.elements
        values = self.upstream.model(inputs)
        if self.upstream.fault == "short":
            values = values[:-1]
        answer = encode_answer(
            request,
            [numbers(name, "FP32", values) for name in self.upstream.outputs],
            model="net",
            version="7",
            parameters={},
        )
        return answer.body, 200, dict(answer.headers)

    def _plain(self, body: bytes, headers: dict[str, str]) -> object:
        if headers["content-type"] == "application/json":
            files = [base64.b64decode(each) for each in json.loads(body)["instances"]]
            rows = self.upstream.model(np.stack([decoded(each) for each in files]))
            return {"predictions": [{"scores": row.tolist()} for row in rows]}
        [row] = self.upstream.model(decoded(body)[None])
        return {"result": {"by_class": {"bright": float(row[1]), "dark": float(row[0])}}}

    def _send(
        self,
        body: bytes,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **more: str,
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), **more}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def decoded(file: bytes) -> np.ndarray:
    """A file's pixels (3, H, W) in [0, 1]."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).transpose(2, 0, 1) / 255
