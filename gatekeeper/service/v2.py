"""The addresses of the Open Inference Protocol (V2)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from gatekeeper import __version__
from gatekeeper.service.compression import unpack
from gatekeeper.service.connection import while_connected
from gatekeeper.service.envelope import BUNDLE, who_asks
from gatekeeper.service.errors import NotReadyError, UnknownModelError, describe, is_expected
from gatekeeper.service.host import Answered, Host
from gatekeeper.service.schemas import DecisionBody
from gatekeeper.settings import Settings
from gatekeeper.wire import (
    HEADER_LENGTH,
    INPUT,
    VARIABLE,
    Answer,
    EncodedImages,
    InferRequest,
    PixelImages,
    TensorSpec,
    WireTensor,
    encode_answer,
    images_of,
    model_metadata,
    numbers,
    parse_infer,
    server_metadata,
    texts,
)

MODEL = "/v2/models/{model}"
ROUTES = (
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
)
PLATFORM = "gatekeeper"

_REQUEST = {
    "required": True,
    "description": "An inference request; binary tensors follow its JSON.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string"},
                    "parameters": {"type": "object"},
                    "inputs": {"type": "array", "items": {"type": "object"}},
                    "outputs": {"type": "array", "items": {"type": "object"}},
                },
            }
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}
_TEXT = {"type": "string"}


def _body(description: str, **properties: dict[str, str]) -> dict[str, Any]:
    """An answer in JSON that has at least these properties."""
    schema = {"type": "object", "required": list(properties), "properties": properties}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


# The protocol's own form of a refusal; without a "4XX" FastAPI would promise its own form of 422.
_REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": _body(
        "400 malformed, or no acceptable image; 401 and 403 the key; 404 an unknown model, version "
        "or address; 405 the method; 408 a slow body; 413 a large one; 415 its encoding; 429 too "
        "much is under way, Retry-After says when to come back.",
        error=_TEXT,
    ),
    "5XX": _body(
        "500 a bug, or a stage that failed; 503 not ready, or no longer; 504 the decision was not "
        "made in time.",
        error=_TEXT,
    ),
}
_METADATA = {200: _body("What it is.", name=_TEXT), **_REFUSALS}
_HEALTH = {200: _body("It is.", live={"type": "boolean"}), **_REFUSALS}
_INFERENCE = {
    200: {
        "description": "One row per image; binary tensors follow the JSON where they were asked "
        "for.",
        "content": {
            **_body("", model_name=_TEXT, outputs={"type": "array"})["content"],
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    **_REFUSALS,
}
_ERROR = "error"
_ONE_PER_IMAGE = {
    "action": "BYTES",
    "label": "INT64",
    "class_name": "BYTES",
    "reliability": "FP32",
    "raw_reliability": "FP32",
    "reason": "BYTES",
}


@dataclass(frozen=True, slots=True)
class _Model:
    """The one model that is served; its version is that of the registry where it has one."""

    name: str
    configured: str
    host: Host

    @property
    def version(self) -> str:
        return self.host.version or self.configured

    @property
    def versions(self) -> tuple[str, ...]:
        """The served version first."""
        return (self.version, *self.host.other_versions)

    def check(self, name: str, version: str | None) -> None:
        if name != self.name:
            raise UnknownModelError(f"expected the model {self.name!r}, got {name!r:.60}")
        if version is None or version == self.version:
            return
        known = version in self.host.other_versions
        told = f"{version!r:.60}, which is known and not served" if known else f"{version!r:.60}"
        raise UnknownModelError(f"expected version {self.version!r}, got {told}")


def make_v2_router(host: Host, settings: Settings) -> APIRouter:
    """The routes over one host.

    Args:
        host: Decides.
        settings: Name and version of the model, bounds.
    """
    model = _Model(settings.model_name, settings.model_version, host)
    router = APIRouter(tags=["open inference protocol"])
    _add_server(router, host)
    _add_model(router, host, model)
    _add_inference(router, host, model, settings)
    return router


def _add_server(router: APIRouter, host: Host) -> None:
    @router.get("/v2", responses=_METADATA)
    @router.get("/v2/", include_in_schema=False)
    async def server() -> Response:
        """What this server is."""
        return _json(server_metadata("gatekeeper", __version__))

    @router.get("/v2/health/live", responses=_HEALTH)
    async def live() -> Response:
        """Whether the process answers."""
        return _json({"live": True})

    @router.get("/v2/health/ready", responses=_HEALTH)
    async def ready() -> Response:
        """Whether it can decide."""
        return _readiness(host, {})


def _add_model(router: APIRouter, host: Host, served: _Model) -> None:
    @router.get(MODEL, responses=_METADATA)
    @router.get(f"{MODEL}/versions/{{version}}", responses=_METADATA)
    async def model_data(model: str, version: str | None = None) -> Response:
        """What the model takes and gives."""
        served.check(model, version)
        told = model_metadata(
            served.name,
            served.version,
            PLATFORM,
            inputs=[TensorSpec(name=INPUT, datatype="BYTES", shape=(VARIABLE,))],
            outputs=_output_specs(host),
        )
        return _json({**told, "versions": served.versions})

    @router.get(f"{MODEL}/ready", responses=_HEALTH)
    @router.get(f"{MODEL}/versions/{{version}}/ready", responses=_HEALTH)
    async def model_ready(model: str, version: str | None = None) -> Response:
        """Whether the model can decide."""
        served.check(model, version)
        return _readiness(host, {"name": model})


def _add_inference(router: APIRouter, host: Host, served: _Model, settings: Settings) -> None:
    def read(data: bytes, encoding: str, lengths: Sequence[str]) -> _Asked:
        body = unpack(data, encoding, max_bytes=settings.max_body_bytes)
        asked = parse_infer(body, header_lengths=lengths, raw_input=INPUT)
        return asked, images_of(asked.inputs, most=settings.max_images)

    described: dict[str, Any] = {
        "openapi_extra": {"requestBody": _REQUEST},
        "responses": _INFERENCE,
    }

    @router.post(f"{MODEL}/infer", **described)
    @router.post(f"{MODEL}/versions/{{version}}/infer", **described)
    async def infer(request: Request, model: str, version: str | None = None) -> Response:
        """Decide the images of the input `image`: files as BYTES, or pixels as UINT8 or FP32."""
        served.check(model, version)
        with host.admission():
            # Again, for the version that decides this request: the alias may have moved.
            served.check(model, version)
            data = await request.body()
            encoding = request.headers.get("content-encoding", "")
            lengths = request.headers.getlist(HEADER_LENGTH)
            asked, images = await host.aside(lambda: read(data, encoding, lengths))
            results = await while_connected(
                request,
                host.decide_all(images, timeout_s=asked.timeout_s, who=who_asks(request.scope)),
            )
            answer = _answer(asked, results, served, host.loaded().class_names)
            headers = {**answer.headers, BUNDLE: host.loaded().versions.bundle}
            return Response(answer.body, headers=headers)


def _output_specs(host: Host) -> list[TensorSpec]:
    specs = [
        TensorSpec(name=name, datatype=datatype, shape=(VARIABLE,))
        for name, datatype in _ONE_PER_IMAGE.items()
    ]
    n_classes = len(host.loaded().class_names)
    if host.tells_probabilities:
        shape = (VARIABLE, n_classes)
        specs.append(TensorSpec(name="probabilities", datatype="FP32", shape=shape))
    return specs


_Asked = tuple[InferRequest, EncodedImages | PixelImages]


def _json(node: object, status: int = 200) -> Response:
    return Response(json.dumps(node).encode(), status, media_type="application/json")


def _readiness(host: Host, more: dict[str, str]) -> Response:
    try:
        host.ready()
    except NotReadyError as error:
        return _json({**more, "live": True, "ready": False, "error": str(error)}, 503)
    return _json({**more, "live": True, "ready": True})


def _answer(
    asked: InferRequest,
    results: Sequence[Answered | Exception],
    served: _Model,
    class_names: Sequence[str],
) -> Answer:
    """One row per image; where there is not one good row, the first error is raised."""
    good = [each for each in results if isinstance(each, Answered)]
    for each in results:
        if isinstance(each, Exception) and not (good and is_expected(each)):
            raise each
    first = good[0].body
    return encode_answer(
        asked,
        _outputs(results, len(class_names)),
        model=served.name,
        version=served.version,
        parameters={
            "bundle": first.versions.bundle,
            "classifier": first.versions.classifier,
            "certified": all(each.body.certified for each in good),
            "gear": ",".join(sorted({each.body.gear for each in good})),
            "degraded": ",".join(sorted({what for each in good for what in each.body.degraded})),
        },
        labels=class_names,
    )


def _outputs(results: Sequence[Answered | Exception], n_classes: int) -> list[WireTensor]:
    bodies = [each.body if isinstance(each, Answered) else None for each in results]
    outputs = [
        texts("action", [_ERROR if body is None else body.action.value for body in bodies]),
        numbers(
            "label",
            "INT64",
            [-1 if body is None or body.label is None else body.label for body in bodies],
        ),
        texts("class_name", [(body.class_name if body else None) or "" for body in bodies]),
        numbers("reliability", "FP32", [body.reliability if body else 0.0 for body in bodies]),
        numbers(
            "raw_reliability",
            "FP32",
            [body.attempts[0].reliability if body and body.attempts else 0.0 for body in bodies],
        ),
        texts("reason", [_reason(each) for each in results]),
    ]
    if any(body is not None and body.upstream is not None for body in bodies):
        outputs.append(texts("upstream", [_upstream(body) for body in bodies]))
    told = [each.answer.probabilities if isinstance(each, Answered) else None for each in results]
    if any(row is not None for row in told):
        nothing = np.zeros(n_classes)
        rows = [nothing if row is None else row for row in told]
        outputs.append(numbers("probabilities", "FP32", np.stack(rows)))
    return outputs


def _upstream(body: DecisionBody | None) -> str:
    """What the upstream made of an image, as JSON; "" where it has no answer."""
    return "" if body is None or body.upstream is None else body.upstream.model_dump_json()


def _reason(result: Answered | Exception) -> str:
    """Code and sentence, as JSON."""
    if isinstance(result, Answered):
        return json.dumps({"code": result.body.reason.value, "message": result.body.reason_text})
    detail = describe(result, "")[1]
    told = {"code": detail.code, "message": detail.message}
    if detail.reason is not None:
        told["reason"] = detail.reason
    return json.dumps(told)
