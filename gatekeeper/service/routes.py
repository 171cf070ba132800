"""The addresses that the service answers to."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from gatekeeper.service.errors import MalformedRequestError
from gatekeeper.service.host import Host
from gatekeeper.service.metrics import CONTENT_TYPE, ServiceMetrics
from gatekeeper.service.schemas import DecisionBody, ErrorBody, HealthBody, ReadyBody

DECIDE = "/v1/decide"

MEDIA_TYPES = ("application/octet-stream", "image/jpeg", "image/png", "image/webp")
"""What a body may be declared as. The bytes themselves say what it is."""


def _errors(reasons: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody, "description": text} for status, text in reasons.items()}


_REFUSALS = {
    400: "The body is empty or incomplete.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The media type or encoding is not accepted.",
    422: "The body is not an acceptable image; `reason` says why.",
    429: "Too many decisions are under way.",
    500: "A bug; the log of the service has the request id.",
    503: "No verified bundle is loaded, or not yet.",
}

_FILE = {
    "required": True,
    "description": "One still JPEG, PNG or WebP file, as it is.",
    "content": {name: {"schema": {"type": "string", "format": "binary"}} for name in MEDIA_TYPES},
}


def make_router(host: Host, metrics: ServiceMetrics) -> APIRouter:
    """The routes over one host.

    Args:
        host: Decides.
        metrics: What ``/metrics`` shows.
    """
    router = APIRouter()

    @router.post(
        DECIDE,
        tags=["decisions"],
        openapi_extra={"requestBody": _FILE},
        responses=_errors(_REFUSALS),
    )
    async def decide(request: Request) -> DecisionBody:
        """Accept the classifier's answer on this image, with or without restoration, or abstain."""
        with host.admission():
            data = await request.body()
            if not data:
                raise MalformedRequestError("expected an image file, got an empty body: send one")
            return await host.decide(data)

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
        """Whether a bundle is loaded, all its hashes are right and it has decided an image."""
        versions, certificate = host.ready()
        return ReadyBody(versions=versions, certificate=certificate)

    @router.get("/metrics", tags=["operation"], response_class=Response)
    async def metrics_text() -> Response:
        """Counters in Prometheus's text format."""
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)

    return router
