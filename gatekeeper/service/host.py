"""Holds the one gatekeeper of a process: loads it, knows whether it is ready, lets it decide."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from gatekeeper.classifiers import RemoteClassifier
from gatekeeper.engine import (
    Engine,
    EngineAnswer,
    Gear,
    Stage,
    Stages,
    State,
    stages_of,
)
from gatekeeper.errors import GatekeeperError
from gatekeeper.images import DecodeLimits
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.service.audit import AuditLog
from gatekeeper.service.bodies import Loaded, describe_loaded
from gatekeeper.service.delivery import Answered, Delivery, LateError, Parcel
from gatekeeper.service.door import Door
from gatekeeper.service.engine_options import engine_options
from gatekeeper.service.errors import NotReadyError
from gatekeeper.service.intake import take_file, take_pixels
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.service.proxy import Proxy, Received
from gatekeeper.service.schemas import CertificateBody, ImageBody, VersionsBody
from gatekeeper.service.served import Load, ServedGatekeeper
from gatekeeper.service.tracing import Traces
from gatekeeper.settings import Settings
from gatekeeper.wire import EncodedImages, PixelImages

__all__ = ["Answered", "Host", "Load", "ServedGatekeeper"]

_LOG = logging.getLogger("gatekeeper.service")
T = TypeVar("T")


class Host:
    """The state of a served gatekeeper: loading, then ready or failed.

    The gatekeeper is loaded and used in the engine's thread, so that it need not be thread-safe
    and decisions do not compete for the cores; bytes are decoded in threads beside it. Everything
    else happens in the event loop, which is never blocked.

    Args:
        load: Returns a verified gatekeeper; called in the engine's thread, again where an engine
            was lost.
        settings: Bounds and policies.
        metrics: Where decisions and refusals are counted.
        audit: Where decisions are put on record, if anywhere.
        proxy: Forwards images to a classifier, if there is one behind the service.
        traces: Where spans go.
    """

    def __init__(
        self,
        load: Load,
        settings: Settings,
        metrics: ServiceMetrics,
        audit: AuditLog | None = None,
        *,
        proxy: Proxy | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._delivery = Delivery(metrics, audit, proxy, traces)
        self._load = load
        self._metrics = metrics
        self._limits = DecodeLimits(
            max_bytes=settings.max_body_bytes, max_pixels=settings.max_pixels
        )
        self._settings = settings
        self._engine = Engine(
            self._load_and_try, engine_options(settings), observer=metrics, on_ready=self._announce
        )
        metrics.watch(self._is_ready, self._engine.waiting)
        self._decoders = ThreadPoolExecutor(settings.decode_threads, "gatekeeper-decode")
        self._tried: Loaded | None = None
        self._loaded: Loaded | None = None
        self._failure: str | None = None
        self._door = Door(settings.max_concurrent, metrics)
        self._on_failure: Callable[[], None] | None = None

    @property
    def failure(self) -> str | None:
        """Why the gatekeeper could not be loaded, as a sentence; None if it could, or not yet."""
        return self._failure

    @property
    def bundle_id(self) -> str | None:
        """Identity of the bundle; None before it is ready."""
        return None if self._loaded is None else self._loaded.versions.bundle

    @property
    def gear(self) -> Gear:
        """The load gear of the moment."""
        return self._engine.gear

    @property
    def in_flight(self) -> int:
        """Requests for a decision under way."""
        return self._door.in_flight

    def waiting(self, stage: Stage) -> int:
        """How many images wait for a stage."""
        return self._engine.waiting(stage)[0]

    def start(self, on_failure: Callable[[], None] | None = None) -> None:
        """Begin to load, in the engine's thread; returns at once.

        Args:
            on_failure: Called, in that thread, if loading failed.
        """
        self._on_failure = on_failure
        self._engine.start()

    def close(self) -> None:
        """Finish what was let in as far as the time for shutdown allows, and drop the rest."""
        self._engine.close(max(0.0, self._settings.shutdown_timeout_s - self._door.draining_s))
        self._decoders.shutdown(cancel_futures=True)
        self._delivery.close()

    def drain(self) -> None:
        """Let nothing new in: not ready from now on; what is under way is finished."""
        self._door.drain()

    def _is_ready(self) -> bool:
        up = self._loaded is not None and self._failure is None and self._engine.is_ready
        return up and not self._door.is_draining

    def ready(self) -> tuple[VersionsBody, CertificateBody]:
        """What decides, and what is guaranteed about it.

        Raises:
            NotReadyError: loading, failed, draining, or the engine hangs or is being replaced.
        """
        self._door.refuse_while_draining()
        loaded = self.loaded()
        return loaded.versions, loaded.certificate

    def loaded(self) -> Loaded:
        """The gatekeeper that decides.

        Raises:
            NotReadyError: as in :meth:`ready`.
        """
        if self._failure is not None:
            raise NotReadyError(f"no bundle is loaded: {self._failure}")
        if self._loaded is None:
            raise NotReadyError("the bundle is still being verified and tried: come back in a bit")
        if self._engine.state is State.FAILED:
            raise NotReadyError("the engine was given up after several losses: restart the service")
        if not self._engine.is_ready:
            raise NotReadyError("the engine is being replaced: come back in a moment")
        return self._loaded

    @property
    def tells_probabilities(self) -> bool:
        """Whether answers carry the probabilities of all classes."""
        return self._loaded is not None and isinstance(self._loaded.gatekeeper, Gatekeeper)

    @contextmanager
    def admission(self, n: int = 1) -> Iterator[None]:
        """A place among the requests under way, for as long as the context lasts.

        Args:
            n: Images that the request has at least.

        Raises:
            NotReadyError: as in :meth:`ready`.
            TooBusyError: all places are taken.
            OverloadError: by prediction it would be too late; it says when to come back.
        """
        self._door.refuse_while_draining()
        self.loaded()
        self._door.check()
        self._engine.check(n)
        with self._door.place():
            yield

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
        futures = [asyncio.wrap_future(f) for f in self._engine.submit(images, deadline_s=left_s)]
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

    def _load_and_try(self) -> Stages:
        try:
            loaded = describe_loaded(self._load())
            loaded.gatekeeper.canary()
        except GatekeeperError as error:
            _LOG.error("the bundle cannot be served: %s", error)
            self._fail(str(error))
            raise
        except Exception:
            _LOG.exception("the bundle cannot be served: unexpected error while loading it")
            self._fail("loading met an unexpected error: the log of the service names it")
            raise
        self._tried = loaded
        return stages_of(loaded.gatekeeper)

    def _announce(self) -> None:
        # Only now is work let in: whoever reads that it is ready may send some at once.
        self._loaded = self._tried
        if self._loaded is not None:
            self._metrics.became_ready(self._loaded.versions, self._loaded.certificate)
            self._watch_upstream(self._loaded.gatekeeper)
            _LOG.info("ready: bundle %s", self._loaded.versions.bundle)

    def _watch_upstream(self, gatekeeper: ServedGatekeeper) -> None:
        """Show the breaker of a classifier that runs elsewhere."""
        if isinstance(gatekeeper, Gatekeeper):
            classifier = gatekeeper.fitted.classifier
            if isinstance(classifier, RemoteClassifier):
                breaker = classifier.upstream.breaker
                self._metrics.watch_breaker("classifier", lambda: breaker.state)

    def _fail(self, sentence: str) -> None:
        self._failure = sentence
        if self._on_failure is not None:
            self._on_failure()
