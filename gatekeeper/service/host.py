"""Holds the one gatekeeper of a process: loads it, knows whether it is ready, lets it decide."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from gatekeeper import __version__
from gatekeeper.decision import Decision
from gatekeeper.errors import BundleError, GatekeeperError, ImageError
from gatekeeper.images import DecodeLimits, decode_image, fit_to
from gatekeeper.service.errors import NotReadyError, TooBusyError
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.service.schemas import CertificateBody, DecisionBody, ImageBody, VersionsBody
from gatekeeper.settings import Settings

_LOG = logging.getLogger("gatekeeper.service")


class ServedGatekeeper(Protocol):
    """What the service needs of ``gatekeeper.pipeline.Gatekeeper``."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Length K; position = label."""
        ...

    @property
    def model_id(self) -> str:
        """Identity of the classifier."""
        ...

    @property
    def calibration_id(self) -> str:
        """Identity of the bundle."""
        ...

    @property
    def certificate(self) -> Mapping[str, Any]:
        """At least certified, target_risk and confidence_level."""
        ...

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that images are brought to at the door."""
        ...

    def decide(self, images: Tensor, /) -> list[Decision]:
        """Decide a batch, shape (B, 3, H, W), float32, RGB, in [0, 1]."""
        ...

    def canary(self) -> Decision:
        """Decide a fixed image, to prove that deciding works."""
        ...


Load = Callable[[], ServedGatekeeper]


@dataclass(frozen=True, slots=True)
class _Loaded:
    gatekeeper: ServedGatekeeper
    class_names: tuple[str, ...]
    versions: VersionsBody
    certificate: CertificateBody


class Host:
    """The state of a served gatekeeper: loading, then ready or failed, for good.

    The gatekeeper is loaded and used in one *engine* thread, so that it need not be thread-safe
    and decisions do not compete for the cores; bytes are decoded in threads beside it. Everything
    else happens in the event loop, which is never blocked.

    Args:
        load: Returns a verified gatekeeper; called once, in the engine thread.
        settings: Bounds on bytes, pixels, threads and decisions under way.
        metrics: Where decisions and refusals are counted.
    """

    def __init__(self, load: Load, settings: Settings, metrics: ServiceMetrics) -> None:
        self._load = load
        self._metrics = metrics
        self._limits = DecodeLimits(
            max_bytes=settings.max_body_bytes, max_pixels=settings.max_pixels
        )
        self._max_concurrent = settings.max_concurrent
        self._engine = ThreadPoolExecutor(1, "gatekeeper-engine")
        self._decoders = ThreadPoolExecutor(settings.decode_threads, "gatekeeper-decode")
        self._loaded: _Loaded | None = None
        self._failure: str | None = None
        self._under_way = 0
        self._on_failure: Callable[[], None] | None = None

    @property
    def failure(self) -> str | None:
        """Why the gatekeeper could not be loaded, as a sentence; None if it could, or not yet."""
        return self._failure

    @property
    def bundle_id(self) -> str | None:
        """Identity of the bundle; None before it is ready."""
        return None if self._loaded is None else self._loaded.versions.bundle

    def start(self, on_failure: Callable[[], None] | None = None) -> None:
        """Begin to load, in the engine thread; returns at once.

        Args:
            on_failure: Called, in that thread, if loading failed.
        """
        self._on_failure = on_failure
        self._engine.submit(self._load_and_try)

    def close(self) -> None:
        """Wait for what is running and drop what is not."""
        for pool in (self._decoders, self._engine):
            pool.shutdown(cancel_futures=True)

    def ready(self) -> tuple[VersionsBody, CertificateBody]:
        """What decides, and what is guaranteed about it.

        Raises:
            NotReadyError: still loading, or loading failed.
        """
        loaded = self._require()
        return loaded.versions, loaded.certificate

    @contextmanager
    def admission(self) -> Iterator[None]:
        """A place among the decisions under way, for as long as the context lasts.

        Raises:
            NotReadyError: still loading, or loading failed.
            TooBusyError: all places are taken.
        """
        self._require()
        if self._under_way >= self._max_concurrent:
            raise TooBusyError(
                f"expected at most {self._max_concurrent} decisions under way, got one more: "
                "come back in a moment"
            )
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    async def decide(self, data: bytes) -> DecisionBody:
        """Decode and decide one image file.

        Args:
            data: Untrusted bytes.

        Raises:
            ImageError: they are not an acceptable image.
            NotReadyError: still loading, or loading failed.
        """
        loaded = self._require()
        start = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            image, facts = await loop.run_in_executor(
                self._decoders, self._decode, data, loaded.gatekeeper.image_size
            )
        except ImageError as error:
            self._metrics.image_refused(error.reason)
            raise
        [decision] = await loop.run_in_executor(self._engine, loaded.gatekeeper.decide, image)
        seconds = time.perf_counter() - start
        self._metrics.decided(decision, seconds)
        return DecisionBody(
            **decision.to_json(loaded.class_names),
            image=facts,
            versions=loaded.versions,
            certificate=loaded.certificate,
            duration_ms=round(seconds * 1000, 3),
        )

    def _decode(self, data: bytes, size: tuple[int, int]) -> tuple[Tensor, ImageBody]:
        image = decode_image(data, limits=self._limits)[None]
        height, width = image.shape[2:]
        digest = hashlib.sha256(data).hexdigest()
        # Brought to size here, so that what waits for the engine is small.
        return fit_to(image, size), ImageBody(width=width, height=height, sha256=digest)

    def _count(self, step: int) -> None:
        self._under_way += step
        self._metrics.in_flight(self._under_way)

    def _require(self) -> _Loaded:
        if self._loaded is not None:
            return self._loaded
        if self._failure is not None:
            raise NotReadyError(f"no bundle is loaded: {self._failure}")
        raise NotReadyError("the bundle is still being verified and tried: come back in a moment")

    def _load_and_try(self) -> None:
        try:
            loaded = _describe(self._load())
            loaded.gatekeeper.canary()
        except GatekeeperError as error:
            _LOG.error("the bundle cannot be served: %s", error)
            self._fail(str(error))
        except Exception:  # noqa: BLE001  # whatever it is must end in "not ready", with a reason
            _LOG.exception("the bundle cannot be served: unexpected error while loading it")
            self._fail("loading met an unexpected error: the log of the service names it")
        else:
            self._metrics.became_ready(loaded.versions, loaded.certificate)
            self._loaded = loaded
            _LOG.info("ready: bundle %s", loaded.versions.bundle)

    def _fail(self, sentence: str) -> None:
        self._failure = sentence
        if self._on_failure is not None:
            self._on_failure()


def _describe(gatekeeper: ServedGatekeeper) -> _Loaded:
    wanted = tuple(CertificateBody.model_fields)
    missing = [key for key in wanted if key not in gatekeeper.certificate]
    if missing:
        raise BundleError(
            f"expected a certificate with {', '.join(wanted)}, got none of {', '.join(missing)}: "
            "fit the bundle again"
        )
    return _Loaded(
        gatekeeper=gatekeeper,
        class_names=tuple(gatekeeper.class_names),
        versions=VersionsBody(
            gatekeeper=__version__,
            bundle=gatekeeper.calibration_id,
            classifier=gatekeeper.model_id,
        ),
        certificate=CertificateBody(**{key: gatekeeper.certificate[key] for key in wanted}),
    )
