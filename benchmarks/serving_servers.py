"""The servers of the benchmark `serving`, each a process of its own.

    python -m benchmarks.serving_servers SYSTEM --port N [--net small] [--side 224] [--bundle DIR]

Ours: ``gate``, ``plain`` (the classifier behind the same service), ``idle``, ``poison``, and
``alias``, which follows an alias of the registry. Peers,
tuned as ours is (the same decoder beside the event loop, the same number of threads, one forward
pass at a time) and as their documentation begins: ``fastapi``, ``litserve``,
``fastapi_documented``, ``litserve_documented``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

try:
    import litserve
except ImportError:  # a peer; the benchmark leaves it out and says so
    litserve = None

from benchmarks.serving_gate import Idle, Plain, PoisonGate, load_gate, spec_of
from gatekeeper.errors import DataError
from gatekeeper.golden import check_golden
from gatekeeper.images import decode_image, fit_to
from gatekeeper.memory import keep_freed_memory
from gatekeeper.service import Follow, serve
from gatekeeper.service.served import ServedGatekeeper
from gatekeeper.settings import Settings
from gatekeeper.tracking import Registry, ServedAlias, ServingRun, TrackingStore

OURS = ("gate", "plain", "idle", "poison", "alias")
TUNED = ("fastapi", "litserve")
DOCUMENTED = ("fastapi_documented", "litserve_documented")
PREDICT = "/predict"
DECODE_THREADS = 2
BATCH = 16

_ONE_IMAGE = 3

Forward = Callable[[Tensor], Tensor]


def post_of(system: str, file: bytes) -> dict[str, Any]:
    """The request for one image file, as the load generator wants it."""
    if system in OURS:
        path, kind, body = "/v1/decide", "image/jpeg", file
    elif system == "fastapi":
        path, kind, body = PREDICT, "image/jpeg", file
    else:
        text = base64.b64encode(file)
        path, kind, body = PREDICT, "application/json", b'{"image": "' + text + b'"}'
    return {
        "method": "POST",
        "path": path,
        "headers": {"Content-Type": kind},
        "body": base64.b64encode(body).decode(),
    }


def ready_path(system: str) -> str:
    """Where a server answers 200 once it can work."""
    return "/readyz" if system in OURS else "/health"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_servers")
    parser.add_argument("system", choices=[*OURS, *TUNED, *DOCUMENTED])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--net", default="small")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--bundle", help="a folder, or for alias a URI of the registry")
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    given = parser.parse_args(argv)
    if given.system not in DOCUMENTED:
        keep_freed_memory()  # as `gatekeeper serve` does; tuned peers get the same

    def load() -> ServedGatekeeper:
        return _gatekeeper(given)

    if given.system in OURS:
        environ = {f"GATEKEEPER_{name.upper()}": value for name, value in given.set}
        settings = Settings.from_env({**environ, "GATEKEEPER_PORT": str(given.port)})
        return serve(_followed(given.bundle) if given.system == "alias" else load, settings)
    kind = _litserve if given.system.startswith("litserve") else _fastapi
    kind(given, documented=given.system in DOCUMENTED)
    return 0


def _gatekeeper(given: argparse.Namespace) -> ServedGatekeeper:
    if given.system == "gate":
        return load_gate(Path(given.bundle))
    if given.system == "plain":
        return Plain(spec_of(given.net).build(device="cpu"), given.side)
    return PoisonGate(given.side) if given.system == "poison" else Idle(given.side)


def _followed(uri: str) -> Follow:
    """As `gatekeeper serve` follows an alias."""
    store = TrackingStore.from_environment()
    source = ServedAlias(Registry(store), uri)
    return Follow(source=source, load=load_gate, check=check_golden, sink=ServingRun(store))


def network(net: str) -> Forward:
    """The bare network, channels last as ours, from images in [0, 1] to labels."""
    from timm import create_model

    spec = spec_of(net)
    n_classes = len(spec.options["class_names"])
    model = create_model(spec.options["name"], pretrained=False, num_classes=n_classes).eval()
    model = model.to(memory_format=torch.channels_last)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    def forward(images: Tensor) -> Tensor:
        with torch.inference_mode():
            inputs = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
            labels: Tensor = model(inputs).argmax(dim=1)
            return labels

    return forward


def _decoded(file: bytes, side: int) -> Tensor:
    """As at our own door."""
    return fit_to(decode_image(file)[None], (side, side))[0]


class Base64Image(BaseModel):
    """The body of a request, as documentation shows it: JSON with the file as base64."""

    image: str


def _fastapi(given: argparse.Namespace, *, documented: bool) -> None:
    import uvicorn
    from fastapi import FastAPI, Request, Response

    app = FastAPI()
    forward = network(given.net)
    forward(torch.zeros(1, 3, given.side, given.side))

    @app.get("/health")
    def health() -> dict[str, bool]:
        return {"ready": True}

    if documented:

        @app.post(PREDICT)
        def predict(body: Base64Image) -> dict[str, int]:
            image = _with_torchvision(base64.b64decode(body.image), given.side)
            return {"label": int(forward(image[None])[0])}

    else:
        decoders = ThreadPoolExecutor(DECODE_THREADS)
        engine = ThreadPoolExecutor(1)

        # Not annotated: FastAPI would look for `Request` among this module's names.
        async def predict_tuned(request):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            loop = asyncio.get_running_loop()
            file = await request.body()
            image = await loop.run_in_executor(decoders, _decoded, file, given.side)
            labels = await loop.run_in_executor(engine, forward, image[None])
            return Response(b'{"label": %d}' % int(labels[0]), media_type="application/json")

        predict_tuned.__annotations__ = {"request": Request}
        app.post(PREDICT, response_model=None)(predict_tuned)
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)


def _with_torchvision(file: bytes, side: int) -> Tensor:
    from PIL import Image
    from torchvision.transforms.v2.functional import pil_to_tensor, resize

    with Image.open(BytesIO(file)) as image:
        pixels = pil_to_tensor(image.convert("RGB"))
    scaled: Tensor = resize(pixels, [side, side]).float() / 255
    return scaled


class _LitApi(litserve.LitAPI if litserve is not None else object):  # type: ignore[misc]
    """A network behind LitServe; its workers are processes, so that it must be importable."""

    def configure(self, net: str, side: int, *, documented: bool) -> None:
        """Say what is served, and how it is decoded."""
        self._net, self._side = net, side
        self._decode = _with_torchvision if documented else _decoded

    def setup(self, device: str) -> None:
        """Build the network, in a worker."""
        self._forward = network(self._net)

    def decode_request(self, request: dict[str, str]) -> Tensor:
        """The image of a request."""
        return self._decode(base64.b64decode(request["image"]), self._side)

    def batch(self, inputs: list[Tensor]) -> Tensor:
        """Images to a batch."""
        return torch.stack(inputs)

    def predict(self, inputs: Tensor) -> Any:  # noqa: ANN401  # one label, or one per image
        """The label of an image, or the labels of a batch."""
        if inputs.ndim == _ONE_IMAGE:
            return int(self._forward(inputs[None])[0])
        return [int(label) for label in self._forward(inputs)]

    def unbatch(self, output: list[int]) -> list[int]:
        """One label per request."""
        return output

    def encode_response(self, output: int) -> dict[str, int]:
        """The answer."""
        return {"label": output}


def _litserve(given: argparse.Namespace, *, documented: bool) -> None:
    if litserve is None:
        raise DataError("expected LitServe for this peer, got none: pip install litserve")
    tuned = {} if documented else {"max_batch_size": BATCH, "batch_timeout": 0.0}
    api = _LitApi(**tuned)
    api.configure(given.net, given.side, documented=documented)
    server = litserve.LitServer(api, accelerator="cpu", timeout=60)
    server.run(
        host="127.0.0.1",
        port=given.port,
        log_level="warning",
        generate_client_file=False,
        num_api_servers=1,
        access_log=False,
    )


if __name__ == "__main__":
    sys.exit(main())
