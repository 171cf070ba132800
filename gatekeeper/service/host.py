"""Holds the one gatekeeper of a process: loads it, knows whether it is ready, lets it decide."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from gatekeeper.classifiers import RemoteClassifier
from gatekeeper.engine import EngineAnswer, Gear, Stage
from gatekeeper.errors import InputError
from gatekeeper.images import DecodeLimits
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.review import Capture
from gatekeeper.service.audit import AuditLog
from gatekeeper.service.bodies import Loaded
from gatekeeper.service.book import Book
from gatekeeper.service.delivery import Answered, Delivery, LateError, Parcel
from gatekeeper.service.door import Door
from gatekeeper.service.intake import take_file, take_pixels
from gatekeeper.service.lane import Candidate, Lane
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.service.proxy import Proxy, Received
from gatekeeper.service.schemas import ImageBody
from gatekeeper.service.served import Load, ServedGatekeeper
from gatekeeper.service.tracing import Traces
from gatekeeper.service.watcher import Watcher
from gatekeeper.settings import Settings
from gatekeeper.wire import EncodedImages, PixelImages

__all__ = ["Answered", "Host", "Load", "ServedGatekeeper"]

_LOG = logging.getLogger("gatekeeper.service")
T = TypeVar("T")

# The lane on which a request began: it ends there, whatever is swapped in meanwhile.
_CHOSEN: ContextVar[Lane | None] = ContextVar("lane", default=None)


class Host:
    """The state of a served gatekeeper: loading, then ready or failed.

    The gatekeeper is loaded and used in the engine's thread, so that it need not be thread-safe
    and decisions do not compete for the cores; bytes are decoded in threads beside it. Everything
    else happens in the event loop, which is never blocked.

    Args:
        load: Returns a verified gatekeeper; called in the engine's thread, again where an engine
            was lost. None where there is a watcher.
        settings: Bounds and policies.
        metrics: Where decisions and refusals are counted.
        audit: Where decisions are put on record, if anywhere.
        proxy: Forwards images to a classifier, if there is one behind the service.
        traces: Where spans go.
        book: Keeps decisions for their labels.
        capture: Keeps images for people to label, if any are kept.
        watcher: Says what the first lane loads, in place of ``load``, and swaps lanes.
    """

    def __init__(
        self,
        load: Load | None,
        settings: Settings,
        metrics: ServiceMetrics,
        audit: AuditLog | None = None,
        *,
        proxy: Proxy | None = None,
        traces: Traces | None = None,
        book: Book | None = None,
        watcher: Watcher | None = None,
        capture: Capture | None = None,
    ) -> None:
        self._delivery = Delivery(metrics, audit, proxy, traces, book, capture)
        self._book = book
        self._watcher = watcher
        self._metrics = metrics
        self._limits = DecodeLimits(
            max_bytes=settings.max_body_bytes, max_pixels=settings.max_pixels
        )
        self._settings = settings
        self._on_failure: Callable[[], None] | None = None
        self._lane = self.make_lane(_first(load, watcher))
        if watcher is not None:
            watcher.attach(self, self._lane)
        metrics.watch(self._is_ready, lambda stage: self._lane.engine.waiting(stage))
        self._decoders = ThreadPoolExecutor(settings.decode_threads, "gatekeeper-decode")
        self._door = Door(settings.max_concurrent, metrics)

    @property
    def failure(self) -> str | None:
        """Why the gatekeeper could not be loaded, as a sentence; None if it could, or not yet."""
        return self._lane.failure

    @property
    def bundle_id(self) -> str | None:
        """Identity of the bundle; None before it is ready."""
        known = self._lane.known
        return None if known is None else known.versions.bundle

    @property
    def version(self) -> str | None:
        """Version in the registry of what decides the request; None where it is no version."""
        known = self._chosen().known
        return None if known is None else known.versions.version

    @property
    def other_versions(self) -> tuple[str, ...]:
        """Versions of the same model that the registry knows and that do not decide."""
        known = () if self._watcher is None else self._watcher.state.known
        return tuple(str(each.version) for each in known if str(each.version) != self.version)

    @property
    def gear(self) -> Gear:
        """The load gear of the moment."""
        return self._lane.engine.gear

    @property
    def in_flight(self) -> int:
        """Requests for a decision under way."""
        return self._door.in_flight

    def waiting(self, stage: Stage) -> int:
        """How many images wait for a stage."""
        return self._lane.engine.waiting(stage)[0]

    def start(self, on_failure: Callable[[], None] | None = None) -> None:
        """Begin to load, in the engine's thread; returns at once.

        Args:
            on_failure: Called, in that thread, if loading failed.
        """
        self._on_failure = on_failure
        self._lane.start()
        if self._watcher is not None:
            self._watcher.start()

    def make_lane(self, load: Callable[[], Candidate]) -> Lane:
        """A lane that does not decide yet and is not started."""
        return Lane(
            load,
            self._settings,
            self._metrics,
            prepare=self._prepare,
            on_ready=self._announce,
            on_failure=lambda: self._on_failure() if self._on_failure else None,
        )

    def swap(self, lane: Lane) -> Lane:
        """Let a ready lane decide all requests that begin from now on.

        Returns:
            The lane that did; requests that began on it end there.
        """
        before, self._lane = self._lane, lane
        self._show(lane)
        self.heed_labels()  # labels may have come while another lane decided
        return before

    def heed_labels(self) -> None:
        """Say in answers what labels led to since the last time."""
        loaded = self._lane.known
        if self._book is None or loaded is None:
            return
        reason = self._book.ledger.withdrawn(loaded.versions.bundle)
        if reason is not None and self._lane.withdraw(reason):
            _LOG.error("the certificate of %s is withdrawn: %s", loaded.versions.bundle, reason)
            self._show(self._lane)

    def close(self) -> None:
        """Finish what was let in as far as the time for shutdown allows, and drop the rest."""
        if self._watcher is not None:
            self._watcher.close()
        self._lane.close(max(0.0, self._settings.shutdown_timeout_s - self._door.draining_s))
        self._decoders.shutdown(cancel_futures=True)
        self._delivery.close()

    def drain(self) -> None:
        """Let nothing new in: not ready from now on; what is under way is finished."""
        self._door.drain()

    def _is_ready(self) -> bool:
        return self._lane.is_ready and not self._door.is_draining

    def _chosen(self) -> Lane:
        return _CHOSEN.get() or self._lane

    def ready(self) -> Loaded:
        """What decides, and what is guaranteed about it.

        Raises:
            NotReadyError: loading, failed, draining, or the engine hangs or is being replaced.
        """
        self._door.refuse_while_draining()
        return self.loaded()

    def loaded(self) -> Loaded:
        """What decides; within :meth:`admission`, what does so for this request.

        Raises:
            NotReadyError: as in :meth:`ready`.
        """
        return self._chosen().loaded()

    @property
    def tells_probabilities(self) -> bool:
        """Whether answers carry the probabilities of all classes."""
        known = self._chosen().known
        return known is not None and isinstance(known.gatekeeper, Gatekeeper)

    @contextmanager
    def admission(self, n: int = 1) -> Iterator[None]:
        """A place among the requests under way, and one lane for as long as the context lasts.

        Args:
            n: Images that the request has at least.

        Raises:
            NotReadyError: as in :meth:`ready`.
            TooBusyError: all places are taken.
            OverloadError: by prediction it would be too late; it says when to come back.
        """
        self._door.refuse_while_draining()
        lane = self._lane
        lane.loaded()
        self._door.check()
        lane.engine.check(n)
        chosen = _CHOSEN.set(lane)
        try:
            with self._door.place(), lane.in_use():
                yield
        finally:
            _CHOSEN.reset(chosen)

    async def aside(self, work: Callable[[], T]) -> T:
        """The result of work that would block the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._decoders, work)

    async def decide(self, data: bytes, *, who: Mapping[str, str] | None = None) -> Answered:
        """Decode and decide one image file.

        Args:
            data: Untrusted bytes.
            who: As in :meth:`decide_all`.

        Raises:
            ImageError: they are not an acceptable image.
            NotReadyError: as in :meth:`ready`.
            OverloadError: as in :meth:`admission`.
            DeadlineError: the answer would be too late.
            StageError: a stage failed on it, and its policy is to say so.
        """
        [result] = await self.decide_all(EncodedImages((data,)), who=who)
        if isinstance(result, Exception):
            raise result
        return result

    async def decide_all(
        self,
        images: EncodedImages | PixelImages,
        *,
        timeout_s: float | None = None,
        who: Mapping[str, str] | None = None,
    ) -> list[Answered | Exception]:
        """Decode and decide several images; what is wrong with one does not concern the others.

        Args:
            images: Untrusted.
            timeout_s: Time that the answers have, where less than the service's own deadline.
            who: What the audit log says about the request: its id, the name of its key.

        Returns:
            One answer per image, or why it has none.

        Raises:
            NotReadyError: as in :meth:`ready`.
            OverloadError: as in :meth:`admission`.
        """
        loaded = self.loaded()
        start = time.monotonic()
        limit = min(timeout_s or self._settings.deadline_s, self._settings.deadline_s)
        taken = await asyncio.gather(
            *map(self.aside, self._intake(images, loaded.gatekeeper.image_size)),
            return_exceptions=True,
        )
        decoded = time.monotonic()
        self._delivery.traces.record("decode", start, decoded)
        good = [each for each in taken if not isinstance(each, BaseException)]
        answers = iter(await self._answers([image for image, _ in good], limit - (decoded - start)))
        files = images.files if isinstance(images, EncodedImages) else [None] * len(taken)
        results: list[Coroutine[Any, Any, Answered | Exception]] = []
        for each, file in zip(taken, files, strict=True):
            result = each if isinstance(each, BaseException) else next(answers)
            if isinstance(each, BaseException) or isinstance(result, BaseException):
                results.append(self._refused(result))
                continue
            image, facts = each
            parcel = Parcel(
                received=Received(file, image),
                facts=facts,
                began=start,
                until=start + limit,
                who=who or {},
            )
            results.append(self._delivery.deliver(loaded, result, parcel))
        return await asyncio.gather(*results)

    async def _refused(self, error: BaseException) -> Answered | Exception:
        return self._delivery.refused(error)

    async def try_out(self, images: Sequence[Tensor]) -> Sequence[EngineAnswer | Exception]:
        """Decide images that are no traffic: neither counted, nor put on record, nor drawn.

        Args:
            images: Each of shape (3, H, W) at the gatekeeper's image size, in [0, 1].

        Returns:
            One answer per image, or why it has none.

        Raises:
            NotReadyError: as in :meth:`ready`.
            OverloadError: as in :meth:`admission`.
        """
        self.loaded()
        return await self._answers(images, self._settings.deadline_s)

    def _intake(
        self, images: EncodedImages | PixelImages, size: tuple[int, int]
    ) -> list[Callable[[], tuple[Tensor, ImageBody]]]:
        if isinstance(images, EncodedImages):
            return [partial(take_file, data, size, self._limits) for data in images.files]
        return [partial(take_pixels, each, size, self._limits) for each in images.pixels]

    async def _answers(self, images: Sequence[Tensor], left_s: float) -> Sequence[Any]:
        """One answer or exception per image; what nobody waits for any more is cancelled."""
        if not images:
            return []
        engine = self._chosen().engine
        futures = [asyncio.wrap_future(f) for f in engine.submit(images, deadline_s=left_s)]
        try:
            await asyncio.wait(futures, timeout=left_s)
            late = LateError(
                "expected to decide within the deadline, got no answer in time: send fewer images "
                "at once or allow more time"
            )
            return [(f.exception() or f.result()) if f.done() else late for f in futures]
        finally:
            for future in futures:
                future.cancel()

    def _prepare(self, loaded: Loaded) -> Loaded:
        """Go on with the monitor of a bundle, which may be withdrawn from an earlier time."""
        reason = None if self._book is None else self._book.open(loaded)
        return loaded if reason is None else loaded.withdrawn(reason)

    def _announce(self, lane: Lane) -> None:
        """Called in an engine's thread when its lane is ready, decides or not."""
        if lane is self._lane:
            self._show(lane)

    def _show(self, lane: Lane) -> None:
        """Tell which bundle decides."""
        loaded = lane.known
        if loaded is None:
            return
        self._metrics.became_ready(loaded.versions, loaded.certificate)
        self._watch_upstream(loaded.gatekeeper)
        if self._watcher is not None:
            self._watcher.became_ready(lane)
        _LOG.info("ready: bundle %s", loaded.versions.bundle)

    def _watch_upstream(self, gatekeeper: ServedGatekeeper) -> None:
        """Show the breaker of a classifier that runs elsewhere."""
        if isinstance(gatekeeper, Gatekeeper):
            classifier = gatekeeper.fitted.classifier
            if isinstance(classifier, RemoteClassifier):
                breaker = classifier.upstream.breaker
                self._metrics.watch_breaker("classifier", lambda: breaker.state)


def _first(load: Load | None, watcher: Watcher | None) -> Callable[[], Candidate]:
    """What the first lane loads."""
    if watcher is not None:
        return watcher.first
    if load is None:
        raise InputError("expected something to load or a registry to follow, got neither")
    return lambda: Candidate(load())
