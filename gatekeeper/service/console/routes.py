"""The console's addresses: pages, what they ask for, and reports."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gatekeeper.engine import Stage
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.review import Capture
from gatekeeper.service.bodies import Loaded
from gatekeeper.service.connection import while_connected
from gatekeeper.service.console.bodies import (
    SetupBody,
    SweepBody,
    TrafficBody,
    TrialBody,
    TrialRequest,
)
from gatekeeper.service.console.catalogue import catalogue
from gatekeeper.service.console.history import Traffic
from gatekeeper.service.console.pages import (
    HTML,
    REPORT_POLICY,
    page_headers,
    static_files,
    static_response,
)
from gatekeeper.service.console.pictures import data_uri
from gatekeeper.service.console.reports import reports_of
from gatekeeper.service.console.requests import read_body
from gatekeeper.service.console.review_routes import REVIEW_API, make_review_router
from gatekeeper.service.console.trial import Bench
from gatekeeper.service.host import Host

CONSOLE = "/console"
API = f"{CONSOLE}/api"
CONSOLE_POSTS = (f"{API}/try", f"{API}/sweep", f"{REVIEW_API}/label", f"{REVIEW_API}/skip")
"""Bodies of these must be declared as JSON, which no page of another origin can send unasked."""


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """What the console shows.

    Attributes:
        host: Decides.
        bench: Where images are tried out.
        traffic: Live traffic.
        capture: Images for review; None where none are kept.
    """

    host: Host
    bench: Bench
    traffic: Traffic
    capture: Capture | None


def make_console_router(parts: ConsoleParts) -> APIRouter:
    """The routes; none of them is part of the documented API.

    Args:
        parts: What is shown.
    """
    router = APIRouter(include_in_schema=False)
    _add_pages(router, parts)
    _add_answers(router, parts)
    router.include_router(make_review_router(parts.host, parts.capture))
    return router


def _add_pages(router: APIRouter, parts: ConsoleParts) -> None:
    @router.get(CONSOLE)
    async def console(request: Request) -> Response:
        return static_response(request, "console.html")

    @router.get(f"{CONSOLE}/review")
    async def review(request: Request) -> Response:
        return static_response(request, "review.html")

    @router.get(f"{CONSOLE}/static/{{name}}")
    async def static(request: Request, name: str) -> Response:
        if name not in static_files():
            raise HTTPException(404)
        return static_response(request, name)

    @router.get(f"{CONSOLE}/reports/{{name}}")
    async def report(name: str) -> Response:
        path = reports_of(parts.host.loaded().gatekeeper).get(name)
        if path is None:
            raise HTTPException(404)
        content = await parts.host.aside(path.read_bytes)
        return Response(content, media_type=HTML, headers=page_headers(REPORT_POLICY))


def _add_answers(router: APIRouter, parts: ConsoleParts) -> None:
    @router.get(f"{API}/setup")
    async def setup() -> SetupBody:
        loaded = parts.host.loaded()
        return await parts.host.aside(lambda: _setup(parts, loaded))

    @router.post(f"{API}/try")
    async def try_out(request: Request) -> TrialBody:
        with parts.host.admission():
            asked = read_body(await request.body(), TrialRequest)
            return await while_connected(request, parts.bench.try_out(asked))

    @router.post(f"{API}/sweep")
    async def sweep(request: Request) -> SweepBody:
        with parts.host.admission():
            asked = read_body(await request.body(), TrialRequest)
            return await while_connected(request, parts.bench.sweep(asked))

    @router.get(f"{API}/traffic")
    async def traffic() -> TrafficBody:
        return _traffic(parts)


def _setup(parts: ConsoleParts, loaded: Loaded) -> SetupBody:
    gatekeeper = loaded.gatekeeper
    gate = gatekeeper.fitted.gate if isinstance(gatekeeper, Gatekeeper) else None
    return SetupBody(
        versions=loaded.versions,
        certificate=loaded.certificate,
        facts=dict(gatekeeper.certificate),
        class_names=list(loaded.class_names),
        image_size=gatekeeper.image_size,
        accept_raw_at=None if gate is None else min(1.0, gate.accept_raw_at),
        accept_restored_at=None if gate is None else min(1.0, gate.accept_restored_at),
        samples=[data_uri(image) for image in parts.bench.samples(gatekeeper)],
        corruptions=list(catalogue()),
        reports=list(reports_of(gatekeeper)),
        reviews=parts.capture is not None,
    )


def _traffic(parts: ConsoleParts) -> TrafficBody:
    gear = parts.host.gear
    return TrafficBody(
        every_s=parts.traffic.every_s,
        points=parts.traffic.points,
        gear=gear.name,
        restored_share=gear.restored_share,
        waiting={stage.value: parts.host.waiting(stage) for stage in Stage},
        in_flight=parts.host.in_flight,
        engines_lost=parts.traffic.gauge("engines lost"),
    )
