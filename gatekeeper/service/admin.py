"""The addresses for operators: versions of the registry, promote, rollback, monitors.

They are on the admin port where there is one, and at home otherwise. Where keys are asked for,
reading needs one of scope ``metrics`` and writing one of scope ``admin``.

| request | answer |
|---|---|
| ``GET /admin/versions`` | :class:`RegistryBody`: ``{"model", "alias", "served", "up", "problem", "refused", "on_probation", "versions": [{"version", "uri", "bundle", "aliases", "certified", "golden", "created_ms", "served", "refused"}]}``; ``model`` is null and the list empty where a directory is served |
| ``POST /admin/versions/promote`` ``{"version": 3}`` | the same, afterwards; 409 with the reason where the registry refuses |
| ``POST /admin/versions/rollback`` ``{}`` | likewise |
| ``GET /admin/monitor`` | :class:`MonitorBody`: ``{"versions", "certificate", "degraded", "sampling_share", "risk": {"e_value", "threshold", "withdrawn", "withdrawn_at", "n_labels", "n_wrong", "n_others", "reason"} or null, "traffic": {"n_windows", "n_flagged", "window", "p_value", "flagged", "accuracy": {"value", "low", "high", "n_images"} or null, "accepted_risk": likewise} or null}`` |

Bodies are ``application/json``, which no page of another origin can send without being asked.
A promoted version is loaded beside the one that decides and takes its place seconds later;
``served`` tells when.
"""  # noqa: E501  # a table cannot be broken

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from gatekeeper.errors import BundleError, TrackingError
from gatekeeper.monitoring import WINDOW, AccuracyEstimate, MonitorState, TrafficState
from gatekeeper.service.book import Book
from gatekeeper.service.console.requests import read_body
from gatekeeper.service.errors import RegistryRefusedError
from gatekeeper.service.feedback_bodies import (
    EstimateBody,
    MonitorBody,
    PromoteRequest,
    RegistryBody,
    RiskBody,
    RollBackRequest,
    TrafficTestBody,
    VersionBody,
)
from gatekeeper.service.host import Host
from gatekeeper.service.watcher import Watcher, WatchState
from gatekeeper.tracking import RegisteredVersion
from gatekeeper.tracking.registry import CERTIFIED_TAG, GOLDEN_TAG

ADMIN = "/admin"
VERSIONS = f"{ADMIN}/versions"
PROMOTE = f"{VERSIONS}/promote"
ROLL_BACK = f"{VERSIONS}/rollback"
MONITOR = f"{ADMIN}/monitor"
ADMIN_ROUTES = (VERSIONS, PROMOTE, ROLL_BACK, MONITOR)


@dataclass(frozen=True, slots=True)
class AdminParts:
    """What operators look at.

    Attributes:
        host: Decides.
        watcher: Follows the registry; None where a directory is served.
        book: Keeps decisions; None where no ledger is kept.
    """

    host: Host
    watcher: Watcher | None
    book: Book | None


def make_admin_router(parts: AdminParts) -> APIRouter:
    """The routes; none of them is part of the documented API.

    Args:
        parts: What is shown.
    """
    router = APIRouter(include_in_schema=False)

    @router.get(VERSIONS)
    async def versions() -> RegistryBody:
        return _registry(parts.watcher)

    @router.post(PROMOTE)
    async def promote(request: Request) -> RegistryBody:
        asked = read_body(await request.body(), PromoteRequest)
        watcher = _watcher(parts)
        return await _moved(watcher, lambda: watcher.source.promote(asked.version))

    @router.post(ROLL_BACK)
    async def roll_back(request: Request) -> RegistryBody:
        read_body(await request.body(), RollBackRequest)
        watcher = _watcher(parts)
        return await _moved(watcher, watcher.source.roll_back)

    @router.get(MONITOR)
    async def monitor() -> MonitorBody:
        return await run_in_threadpool(_monitor, parts)

    return router


def _watcher(parts: AdminParts) -> Watcher:
    if parts.watcher is None:
        raise RegistryRefusedError(
            "expected a service of models:/NAME@ALIAS, this one serves a directory: restart it "
            "with a URI of the registry"
        )
    return parts.watcher


async def _moved(watcher: Watcher, move: Callable[[], RegisteredVersion]) -> RegistryBody:
    """Move an alias, and have the watcher follow at once."""

    def change() -> None:
        try:
            move()
        except (TrackingError, BundleError) as error:
            raise RegistryRefusedError(str(error)) from error
        watcher.refresh()

    await run_in_threadpool(change)
    watcher.wake()
    return _registry(watcher)


def _registry(watcher: Watcher | None) -> RegistryBody:
    if watcher is None:
        return RegistryBody(
            model=None,
            alias=None,
            served=None,
            up=False,
            problem=None,
            refused=None,
            on_probation=False,
            versions=[],
        )
    state = watcher.state
    return RegistryBody(
        model=watcher.source.name,
        alias=watcher.source.alias or None,
        served=None if state.served is None else str(state.served.version),
        up=state.problem is None,
        problem=state.problem,
        refused=state.why_refused,
        on_probation=state.on_probation,
        versions=[_version(each, state) for each in state.known],
    )


def _version(version: RegisteredVersion, state: WatchState) -> VersionBody:
    told = version.tags.get(CERTIFIED_TAG)
    is_refused = state.refused is not None and state.refused.version == version.version
    return VersionBody(
        version=version.version,
        uri=version.uri,
        bundle=version.bundle,
        aliases=list(version.aliases),
        certified=None if told is None else told == "true",
        golden=version.tags.get(GOLDEN_TAG),
        created_ms=version.created_ms,
        served=state.served is not None and state.served.version == version.version,
        refused=state.why_refused if is_refused else None,
    )


def _monitor(parts: AdminParts) -> MonitorBody:
    loaded = parts.host.loaded()
    bundle = loaded.versions.bundle
    known = None if parts.book is None else parts.book.ledger.monitor(bundle)
    traffic = None if parts.book is None else parts.book.test(bundle)
    return MonitorBody(
        versions=loaded.versions,
        certificate=loaded.certificate,
        degraded=list(loaded.degraded),
        sampling_share=None if parts.book is None else parts.book.share,
        risk=None if known is None else _risk(*known, loaded.certificate.confidence_level),
        traffic=None if traffic is None else _traffic(traffic),
    )


def _risk(state: MonitorState, n_others: int, confidence_level: float) -> RiskBody:
    return RiskBody(
        e_value=state.e_value,
        threshold=1.0 / (1.0 - confidence_level),
        withdrawn=state.withdrawn,
        withdrawn_at=state.withdrawn_at,
        n_labels=state.n_labels,
        n_wrong=state.n_wrong,
        n_others=n_others,
        reason=state.reason,
    )


def _traffic(state: TrafficState) -> TrafficTestBody:
    return TrafficTestBody(
        n_windows=state.n_windows,
        n_flagged=state.n_flagged,
        window=WINDOW,
        p_value=state.p_value,
        flagged=state.flagged,
        accuracy=_estimate(state.accuracy),
        accepted_risk=_estimate(state.accepted_risk),
    )


def _estimate(estimate: AccuracyEstimate | None) -> EstimateBody | None:
    if estimate is None:
        return None
    return EstimateBody(
        value=estimate.value, low=estimate.low, high=estimate.high, n_images=estimate.n_images
    )
