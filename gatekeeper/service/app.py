"""Puts the service together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gatekeeper import __version__
from gatekeeper.service.body_limit import BodyLimit, local_path
from gatekeeper.service.envelope import Envelope, request_id_of
from gatekeeper.service.errors import error_response
from gatekeeper.service.host import Host, Load
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.service.routes import DECIDE, DECIDE_BATCH, MEDIA_TYPES, make_router
from gatekeeper.service.v2 import ROUTES as V2_ROUTES
from gatekeeper.service.v2 import make_v2_router
from gatekeeper.settings import Settings

_ROUTES = (
    DECIDE,
    DECIDE_BATCH,
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/openapi.json",
    *V2_ROUTES,
)


def create_app(
    settings: Settings, load: Load, *, on_load_failure: Callable[[], None] | None = None
) -> FastAPI:
    """The service as an ASGI app; it begins to load when it is started.

    From the outside in: envelope (request id, versions, error bodies, counting), body limit,
    routes. ``app.state.host`` is the :class:`Host`.

    Args:
        settings: Limits.
        load: Returns a verified gatekeeper; called once, in a thread, while ``/healthz`` answers.
        on_load_failure: Called, in that thread, if ``load`` or the canary image fails.
    """
    model = f"/v2/models/{settings.model_name}"
    whole = f"{model}/versions/{settings.model_version}"
    infer = (f"{model}/infer", f"{whole}/infer")
    metrics = ServiceMetrics((*_ROUTES, model, whole, *infer))
    host = Host(load, settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        host.start(on_load_failure)
        yield
        await run_in_threadpool(host.close)

    # FastAPI's own /docs loads its scripts from a third party; these come with the package.
    app = FastAPIOffline(
        redoc_url=None,
        title="gatekeeper",
        version=__version__,
        summary="Accept a classifier's answer, restore the image and look again, or abstain.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.host = host
    app.include_router(make_router(host, metrics, max_images=settings.max_images))
    app.include_router(make_v2_router(host, settings))
    app.add_exception_handler(HTTPException, _answer_http_exception)
    # Added last is outermost.
    app.add_middleware(
        BodyLimit,
        media_types={DECIDE: MEDIA_TYPES, DECIDE_BATCH: ("application/json",)},
        max_bytes=settings.max_body_bytes,
        timeout_s=settings.body_timeout_s,
    )
    app.add_middleware(Envelope, host=host, metrics=metrics)
    return app


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    path = local_path(request.scope)
    return error_response(error, request_id_of(request.scope), path=path)
