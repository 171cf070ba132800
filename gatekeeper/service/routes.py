"""The addresses of the native API."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from gatekeeper.engine import StageError
from gatekeeper.service.connection import while_connected
from gatekeeper.service.envelope import BUNDLE, request_id_of, who_asks
from gatekeeper.service.errors import MalformedRequestError, describe, is_expected
from gatekeeper.service.host import Answered, Host
from gatekeeper.service.metrics import CONTENT_TYPE, ServiceMetrics
from gatekeeper.service.schemas import (
    BatchBody,
    BatchRequest,
    DecisionBody,
    ErrorBody,
    HealthBody,
    ItemBody,
    ReadyBody,
)
from gatekeeper.wire import EncodedImages, WireError, parse_object

DECIDE = "/v1/decide"
DECIDE_BATCH = "/v1/decide/batch"

MEDIA_TYPES = ("application/octet-stream", "image/jpeg", "image/png", "image/webp")
"""What a body may be declared as. The bytes themselves say what it is."""

GEAR = "X-Gatekeeper-Gear"
DEGRADED = "X-Gatekeeper-Degraded"
UPSTREAM = "X-Gatekeeper-Upstream"


def _errors(reasons: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody, "description": text} for status, text in reasons.items()}


_REFUSALS = {
    400: "The body is empty, incomplete or not what it should be.",
    401: "No key, or an unknown one, where keys are asked for.",
    403: "The key is not good for this.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The media type or encoding is not accepted.",
    422: "The body is not an acceptable image; `reason` says why.",
    429: "Too much is under way; Retry-After says when to come back.",
    500: "A bug, or a stage that failed; the log of the service has the request id.",
    503: "No verified bundle is loaded, or not yet, or the engine is being replaced.",
    504: "The decision was not made in time.",
}

_FILE = {
    "required": True,
    "description": "One still JPEG, PNG or WebP file, as it is.",
    "content": {name: {"schema": {"type": "string", "format": "binary"}} for name in MEDIA_TYPES},
}
_FILES = {
    "required": True,
    "description": "Several files.",
    "content": {"application/json": {"schema": BatchRequest.model_json_schema()}},
}


def make_router(host: Host, metrics: ServiceMetrics, *, max_images: int) -> APIRouter:
    """The routes over one host.

    Args:
        host: Decides.
        metrics: What ``/metrics`` shows.
        max_images: Most images in one batch.
    """
    router = APIRouter()

    @router.post(
        DECIDE,
        tags=["decisions"],
        openapi_extra={"requestBody": _FILE},
        responses=_errors(_REFUSALS),
    )
    async def decide(request: Request, response: Response) -> DecisionBody:
        """Accept the classifier's answer on this image, with or without restoration, or abstain."""
        with host.admission():
            data = await request.body()
            if not data:
                raise MalformedRequestError("expected an image file, got an empty body: send one")
            body = (
                await while_connected(request, host.decide(data, who=who_asks(request.scope)))
            ).body
            response.headers.update(_headers(body))
            return body

    @router.post(
        DECIDE_BATCH,
        tags=["decisions"],
        openapi_extra={"requestBody": _FILES},
        responses=_errors({**_REFUSALS, 422: "Not used: each image has a result of its own."}),
    )
    async def decide_batch(request: Request, response: Response) -> BatchBody:
        """Decide several images; what is wrong with one does not concern the others."""
        with host.admission():
            data = await request.body()
            images = await host.aside(lambda: _files(data, max_images))
            results = await while_connected(
                request, host.decide_all(images, who=who_asks(request.scope))
            )
            response.headers[BUNDLE] = host.loaded().versions.bundle
            return BatchBody(results=[_item(each, request) for each in results])

    @router.get("/healthz", tags=["operation"])
    async def healthz() -> HealthBody:
        """Whether the process answers."""
        return HealthBody()

    @router.get(
        "/readyz",
        tags=["operation"],
        responses=_errors({503: "Still loading, or loading failed; the message says which."}),
    )
    async def readyz() -> ReadyBody:
        """Whether a bundle is loaded, all its hashes are right and its engine does its work."""
        loaded = host.ready()
        return ReadyBody(
            degraded=list(loaded.degraded),
            versions=loaded.versions,
            certificate=loaded.certificate,
        )

    @router.get("/metrics", tags=["operation"], response_class=Response)
    async def metrics_text() -> Response:
        """Counters in Prometheus's text format."""
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)

    return router


def _headers(body: DecisionBody) -> dict[str, str]:
    """What can be read off a decision without its body."""
    headers = {GEAR: body.gear, BUNDLE: body.versions.bundle}
    if body.degraded:
        headers[DEGRADED] = ",".join(body.degraded)
    if body.upstream is not None:
        headers[UPSTREAM] = body.upstream.outcome
    return headers


def _files(data: bytes, max_images: int) -> EncodedImages:
    try:
        texts = BatchRequest.model_validate(parse_object(data)).images
    except ValidationError as error:
        raise WireError(
            'expected {"images": ["base64 of a file", …]}, got another object: correct it'
        ) from error
    if len(texts) > max_images:
        raise WireError(f"expected at most {max_images} images in a request, got {len(texts)}")
    try:
        return EncodedImages(tuple(b64decode(text, validate=True) for text in texts))
    except (binascii.Error, ValueError) as error:
        raise WireError("expected images as base64, got other text: encode the files") from error


def _item(result: Answered | Exception, request: Request) -> ItemBody:
    if isinstance(result, Answered):
        return ItemBody(decision=result.body)
    if not is_expected(result) and not isinstance(result, StageError):
        raise result
    return ItemBody(error=describe(result, request_id_of(request.scope))[1])
