"""Puts the service together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gatekeeper import __version__
from gatekeeper.errors import InputError
from gatekeeper.service.access import Access, Key, read_keys
from gatekeeper.service.admin import ADMIN_ROUTES, PROMOTE, ROLL_BACK, AdminParts, make_admin_router
from gatekeeper.service.audit import AuditLog
from gatekeeper.service.body_limit import BodyLimit, local_path
from gatekeeper.service.capture import make_capture
from gatekeeper.service.console import (
    CONSOLE,
    CONSOLE_POSTS,
    COUNTERS,
    Bench,
    ConsoleParts,
    Traffic,
    make_console_router,
)
from gatekeeper.service.envelope import Envelope, request_id_of
from gatekeeper.service.errors import error_response
from gatekeeper.service.feedback import FEEDBACK, make_feedback_router
from gatekeeper.service.heads import HeadLimit
from gatekeeper.service.host import Host, Load
from gatekeeper.service.logs import AccessLog
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.service.proxy import Proxy, read_proxy
from gatekeeper.service.routes import DECIDE, DECIDE_BATCH, MEDIA_TYPES, make_router
from gatekeeper.service.surfaces import OPERATION, PROBES, Surfaces
from gatekeeper.service.tracing import Tracing, make_traces
from gatekeeper.service.trust import Upkeep, make_trust
from gatekeeper.service.v2 import ROUTES as V2_ROUTES
from gatekeeper.service.v2 import make_v2_router
from gatekeeper.service.versions import Follow
from gatekeeper.settings import Settings

_ROUTES = (
    DECIDE,
    DECIDE_BATCH,
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/openapi.json",
    CONSOLE,
    FEEDBACK,
    *ADMIN_ROUTES,
    *V2_ROUTES,
)

_JSON_ONLY = (DECIDE_BATCH, FEEDBACK, PROMOTE, ROLL_BACK, *CONSOLE_POSTS)


def create_app(
    settings: Settings, load: Load | Follow, *, on_load_failure: Callable[[], None] | None = None
) -> FastAPI:
    """The service as an ASGI app; it begins to load when it is started.

    From the outside in: log of answers, trace, envelope (request id, versions, error bodies,
    counting), size of the head, surfaces (which port shows what), access (keys, where there are
    any), body limit, routes.
    ``app.state.host`` is the :class:`Host`, ``app.state.console`` what the console shows.

    Args:
        settings: Limits.
        load: Returns a verified gatekeeper; called once, in a thread, while ``/healthz`` answers.
            Or an alias of the registry to follow.
        on_load_failure: Called, in that thread, if ``load`` or the canary image fails.

    Raises:
        InputError: the file of keys or of the upstream, the folder of the audit log or of the
            review queue, or the table of gears cannot be used.
    """
    model = f"/v2/models/{settings.model_name}"
    whole = f"{model}/versions/{settings.model_version}"
    infer = (f"{model}/infer", f"{whole}/infer")
    metrics = ServiceMetrics((*_ROUTES, model, whole, *infer))
    audit = _audit_log(settings, metrics)
    traces = make_traces(settings.traces_endpoint)
    capture = make_capture(settings, metrics.review_dropped)
    trust = make_trust(settings, metrics.registry, load if isinstance(load, Follow) else None)
    host = Host(
        None if isinstance(load, Follow) else load,
        settings,
        metrics,
        audit,
        proxy=_proxy(settings, metrics),
        traces=traces,
        capture=capture,
        book=trust.book,
        watcher=trust.watcher,
    )
    upkeep = Upkeep(trust, host, settings)
    traffic = Traffic(lambda: metrics.exposition_of(COUNTERS))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        host.start(on_load_failure)
        upkeep.start()
        following = asyncio.create_task(traffic.follow())
        yield
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await run_in_threadpool(host.close)
        await run_in_threadpool(upkeep.close)
        if audit is not None:
            await run_in_threadpool(audit.close)
        if capture is not None:
            await run_in_threadpool(capture.close)

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
    app.include_router(make_feedback_router(host, trust.book))
    app.include_router(make_admin_router(AdminParts(host, trust.watcher, trust.book)))
    console = ConsoleParts(host, Bench(host, settings), traffic, capture)
    app.include_router(make_console_router(console))
    app.state.console = console
    app.add_exception_handler(HTTPException, _answer_http_exception)
    # Added last is outermost.
    app.add_middleware(
        BodyLimit,
        media_types={DECIDE: MEDIA_TYPES, **dict.fromkeys(_JSON_ONLY, ("application/json",))},
        max_bytes=settings.max_body_bytes,
        timeout_s=settings.body_timeout_s,
    )
    if settings.keys_file:
        app.add_middleware(Access, keys=_keys(Path(settings.keys_file)))
    app.add_middleware(Surfaces, host=settings.host, admin_port=settings.admin_port)
    app.add_middleware(HeadLimit)
    app.add_middleware(Envelope, host=host, metrics=metrics)
    app.add_middleware(Tracing, traces=traces, untraced=(*PROBES, *OPERATION))
    app.add_middleware(AccessLog, routes=metrics.routes)
    return app


def _proxy(settings: Settings, metrics: ServiceMetrics) -> Proxy | None:
    if not settings.upstream_file:
        return None
    return Proxy(read_proxy(Path(settings.upstream_file)), metrics)


def _keys(path: Path) -> tuple[Key, ...]:
    try:
        return read_keys(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"expected a file of keys at {path}, got: {error.strerror}; correct keys_file"
        ) from error


def _audit_log(settings: Settings, metrics: ServiceMetrics) -> AuditLog | None:
    if not settings.audit_dir:
        return None
    return AuditLog(
        Path(settings.audit_dir),
        keep_days=settings.audit_days,
        on_drop=metrics.audit_dropped,
    )


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    path = local_path(request.scope)
    return error_response(error, request_id_of(request.scope), path=path)
