"""One gatekeeper with the engine that runs it, from loading to its last answer.

A service has one lane that decides. Where a new version is promoted, a second lane is loaded
beside it and takes its place in one step: a request ends on the lane on which it began, so that no
answer mixes two bundles.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from gatekeeper.engine import Engine, Gear, Observer, Stage, Stages, State, stages_of
from gatekeeper.errors import BundleError, GatekeeperError
from gatekeeper.service.bodies import Loaded, describe_loaded
from gatekeeper.service.engine_options import engine_options
from gatekeeper.service.errors import NotReadyError
from gatekeeper.service.served import ServedGatekeeper
from gatekeeper.settings import Settings

_LOG = logging.getLogger("gatekeeper.service")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a lane loads.

    Attributes:
        gatekeeper: Verified.
        version: Its version in the registry; None where it came from elsewhere.
        degraded: What is not as it should be about its choice, such as ``"registry"``.
    """

    gatekeeper: ServedGatekeeper
    version: str | None = None
    degraded: tuple[str, ...] = ()


class Lane:
    """A gatekeeper and its engine.

    The gatekeeper is loaded and used in the engine's thread, so that it need not be thread-safe
    and decisions do not compete for the cores.

    Args:
        load: Gives a verified gatekeeper; called in the engine's thread, again where an engine
            was lost.
        settings: Bounds and policies.
        observer: Is told what the engine does.
        prepare: Called there with what was loaded and tried; gives what answers say about it.
        on_ready: Called in the engine's thread each time that the gatekeeper has become ready.
        on_failure: Called there if loading failed.
    """

    def __init__(
        self,
        load: Callable[[], Candidate],
        settings: Settings,
        observer: Observer,
        *,
        prepare: Callable[[Loaded], Loaded] = lambda loaded: loaded,
        on_ready: Callable[[Lane], None] = lambda _: None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._load = load
        self._prepare = prepare
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._tried: Loaded | None = None
        self._loaded: Loaded | None = None
        self._ended = threading.Event()
        self.health = _Health(observer)
        self.engine = Engine(
            self._load_and_try,
            engine_options(settings),
            observer=self.health,
            on_ready=self._announce,
        )
        self.failure: str | None = None
        self.users = 0

    def start(self) -> None:
        """Begin to load; returns at once."""
        self.engine.start()

    def wait(self, timeout_s: float) -> Loaded:
        """Wait until it is ready.

        Raises:
            BundleError: it cannot be loaded, or not in time.
        """
        self._ended.wait(timeout_s)
        if self.failure is not None or self._loaded is None:
            raise BundleError(
                self.failure
                or f"expected the bundle to be loaded within {timeout_s:g} s, it is "
                "not: try a smaller one"
            )
        return self._loaded

    def close(self, timeout_s: float) -> None:
        """Finish what was let in as far as time allows, and drop the rest."""
        self.engine.close(timeout_s)

    @property
    def known(self) -> Loaded | None:
        """What was loaded, ready or not; None before that."""
        return self._loaded

    @property
    def is_ready(self) -> bool:
        """Whether work is let in and gets done."""
        return self._loaded is not None and self.failure is None and self.engine.is_ready

    @property
    def gear(self) -> Gear:
        """The load gear of the moment."""
        return self.engine.gear

    def loaded(self) -> Loaded:
        """What decides.

        Raises:
            NotReadyError: loading, failed, or the engine hangs or is being replaced.
        """
        if self.failure is not None:
            raise NotReadyError(f"no bundle is loaded: {self.failure}")
        if self._loaded is None:
            raise NotReadyError("the bundle is still being verified and tried: come back in a bit")
        if self.engine.state is State.FAILED:
            raise NotReadyError("the engine was given up after several losses: restart the service")
        if not self.engine.is_ready:
            raise NotReadyError("the engine is being replaced: come back in a moment")
        return self._loaded

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the lane from being closed for as long as the context lasts; event loop only."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

    def withdraw(self, reason: str) -> bool:
        """Say in every answer from now on that the certificate is withdrawn.

        Returns:
            Whether that is news.
        """
        loaded = self._loaded
        if loaded is None or loaded.certificate.withdrawn is not None:
            return False
        self._loaded = loaded.withdrawn(reason)
        return True

    def confirmed(self) -> None:
        """The registry says that this is the version to serve."""
        if self._loaded is not None and self._loaded.degraded:
            self._loaded = replace(self._loaded, degraded=())

    def _load_and_try(self) -> Stages:
        try:
            given = self._load()
            loaded = describe_loaded(
                given.gatekeeper, version=given.version, degraded=given.degraded
            )
            loaded.gatekeeper.canary()
            loaded = self._prepare(loaded)
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
        self._on_ready(self)
        self._ended.set()

    def _fail(self, sentence: str) -> None:
        self.failure = sentence
        self._ended.set()
        self._on_failure()


class _Health:
    """Passes on what an engine does, and counts how it fares."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.images = 0
        self.failures = 0
        self.losses = 0

    def batch_done(self, stage: Stage, n: int, seconds: float) -> None:
        """Count a computed batch."""
        self.images += n
        self._observer.batch_done(stage, n, seconds)

    def stage_failed(self, stage: Stage, error: Exception) -> None:
        """Count an image on which a stage failed."""
        self.failures += 1
        self._observer.stage_failed(stage, error)

    def refused(self, why: str) -> None:
        """Pass it on."""
        self._observer.refused(why)

    def shifted(self, gear: Gear) -> None:
        """Pass it on."""
        self._observer.shifted(gear)

    def engine_lost(self, error: Exception) -> None:
        """Count a lost engine."""
        self.losses += 1
        self._observer.engine_lost(error)
