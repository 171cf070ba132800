"""Follows an alias of the registry: a promoted version is tried, swapped in, watched, or undone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gatekeeper.errors import BundleError, GatekeeperError, TrackingError
from gatekeeper.service.lane import Candidate, Lane
from gatekeeper.service.periodic import Periodic
from gatekeeper.service.trust_metrics import TrustMetrics
from gatekeeper.service.versions import Follow
from gatekeeper.settings import Settings
from gatekeeper.tracking import RegisteredVersion

REGISTRY = "registry"
"""Flag of answers of a version that the registry could not confirm."""

_LOG = logging.getLogger("gatekeeper.service")
_CHECK_EVERY_S = 0.25
# A request that has just chosen its lane is not counted yet.
_GRACE_S = 1.0
_LOAD_S = 600.0
_CLOSE_S = 2.0
# A new version is undone where an engine is lost, or where it fails on so many images.
_FAILURES = 3
_FAILURE_SHARE = 0.1


class Lanes(Protocol):
    """What the watcher needs of the host."""

    def make_lane(self, load: Callable[[], Candidate], /) -> Lane:
        """A lane beside the one that decides, not started yet."""
        ...

    def swap(self, lane: Lane, /) -> Lane:
        """Let a lane decide from now on; returns the one that did."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchState:
    """Where the watcher stands.

    Attributes:
        served: The version that decides; None before it is chosen.
        refused: A version behind the alias that is not taken, until the alias moves.
        why_refused: The reason.
        problem: Why the registry could not be asked the last time; None if it could.
        on_probation: Whether the served version may still be undone.
        known: Versions of the model as the registry told last, newest first.
    """

    served: RegisteredVersion | None = None
    refused: RegisteredVersion | None = None
    why_refused: str | None = None
    problem: str | None = None
    on_probation: bool = False
    known: tuple[RegisteredVersion, ...] = ()


@dataclass(slots=True)
class _Proven:
    """The lane that decided before the last swap, kept until the new one has proved itself."""

    lane: Lane
    version: RegisteredVersion
    candidate: Lane
    until: float


class Watcher:
    """Serves what an alias means, and follows it when it moves.

    At the start the alias is resolved to a number, whose bundle is fetched, verified, made to
    decide its golden set and loaded; where the registry is down, that of the version which served
    well last, flagged as degraded. Afterwards the registry is asked every so often, beside the
    requests. A version that does not verify, decides its golden set differently or cannot be
    loaded is refused. One that loses its engine or fails on images after it was swapped in is
    undone: the lane before it is kept ready as long as the new one is on probation. What was
    refused or undone is not tried again until the alias moves.

    Args:
        follow: The versions, and how a bundle is loaded and checked.
        settings: How often it is asked, and how long probation is.
        metrics: Where it is shown.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        follow: Follow,
        *,
        settings: Settings,
        metrics: TrustMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = follow.source
        self._load = follow.load
        self._check = follow.check
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._lanes: Lanes | None = None
        self._lock = threading.RLock()
        self._first_choice: tuple[RegisteredVersion, Path, tuple[str, ...]] | None = None
        self._served: RegisteredVersion | None = None
        self._lane: Lane | None = None
        self._refused: tuple[RegisteredVersion, str] | None = None
        self._problem: str | None = None
        self._known: tuple[RegisteredVersion, ...] = ()
        self._proven: _Proven | None = None
        self._retired: list[tuple[Lane, float]] = []
        self._looking = Periodic(
            self.look, every_s=settings.registry_poll_s, name="gatekeeper-watcher"
        )
        self._checking = Periodic(
            self.check_on_lanes, every_s=_CHECK_EVERY_S, name="gatekeeper-probation"
        )

    # --- the start ------------------------------------------------------------------------------

    def first(self) -> Candidate:
        """What the first lane loads; the same again where its engine was lost.

        Raises:
            BundleError: what the registry holds cannot be served, and nothing served well before.
            TrackingError: the registry is down, and nothing served well before.
        """
        if self._first_choice is None:
            self._first_choice = self._choose()
            self._served = self._first_choice[0]
        version, path, degraded = self._first_choice
        return Candidate(self._load(path), str(version.version), degraded)

    def _choose(self) -> tuple[RegisteredVersion, Path, tuple[str, ...]]:
        wanted: RegisteredVersion | None = None
        try:
            wanted = self._ask()
            return wanted, self._verified(wanted), ()
        except GatekeeperError as error:
            if wanted is not None:
                self._refuse(wanted, str(error))
            good = self.source.last_good()
            if good is None or good == wanted:
                raise
            _LOG.error("serving %s, which served well last: %s", good.uri, error)
            return good, self._verified(good), (REGISTRY,)

    def attach(self, lanes: Lanes, lane: Lane) -> None:
        """Begin to follow the alias; called once the first lane is there.

        Args:
            lanes: The host.
            lane: Its first lane.
        """
        self._lanes, self._lane = lanes, lane

    def became_ready(self, lane: Lane) -> None:
        """The first lane decides: its version serves well."""
        if lane is self._lane and self._served is not None:
            self._metrics.serves(self.source.name, str(self._served.version))
            self._remember(self._served)

    def start(self) -> None:
        """Follow the alias in threads of its own."""
        self._checking.start()
        self._looking.start()

    def close(self) -> None:
        """Follow no more, and close all lanes but the one that decides."""
        # A candidate that is being loaded is not waited for: the process is about to end.
        self._looking.close(_CLOSE_S)
        self._checking.close(_CLOSE_S)
        lanes = [lane for lane, _ in self._retired]
        if self._proven is not None:
            lanes.append(self._proven.lane)
        for lane in lanes:
            lane.close(0.0)

    # --- now and then ---------------------------------------------------------------------------

    @property
    def state(self) -> WatchState:
        """Where it stands."""
        refused = self._refused
        return WatchState(
            served=self._served,
            refused=None if refused is None else refused[0],
            why_refused=None if refused is None else refused[1],
            problem=self._problem,
            on_probation=self._proven is not None,
            known=self._known,
        )

    def wake(self) -> None:
        """Ask the registry at once."""
        self._looking.wake()

    def refresh(self) -> None:
        """Ask the registry which versions there are; an outage leaves what was known."""
        with suppress(TrackingError):
            self._known = self.source.known()

    def look(self) -> None:
        """Ask the registry what the alias means now, and follow it."""
        if self._lane is None or not self._lane.is_ready:
            return
        try:
            wanted = self._ask()
            self._known = self.source.known()
        except TrackingError:
            return
        with self._lock:
            served, refused = self._served, self._refused
        if served is not None and wanted.version == served.version:
            self._refused = None
            self._lane.confirmed()
            return
        if refused is not None and refused[0].version == wanted.version:
            return
        self._refused = None
        self._take(wanted)

    def _ask(self) -> RegisteredVersion:
        try:
            wanted = self.source.current()
        except TrackingError as error:
            if self._problem is None:
                _LOG.error("the registry cannot be asked, what is served stays: %s", error)
            self._problem = str(error)
            self._metrics.registry_up.set(0)
            raise
        self._problem = None
        self._metrics.registry_up.set(1)
        return wanted

    def _verified(self, version: RegisteredVersion) -> Path:
        path = self.source.fetch(version)
        try:
            self._check(path)
        except GatekeeperError:
            raise
        except Exception as error:
            raise BundleError(
                f"expected {version.uri} to decide its golden set, it met {error!r}: fit again"
            ) from error
        return path

    def _take(self, version: RegisteredVersion) -> None:
        if self._lanes is None:
            return
        with self._lock:
            proven = self._proven
            if proven is not None and proven.version.version == version.version:
                # The alias moved back while the version before it is still loaded.
                self._swap(proven.lane, version)
                self._retire(proven.candidate)
                self._proven = None
                self._remember(version)
                return
        lane: Lane | None = None
        try:
            path = self._verified(version)
            lane = self._lanes.make_lane(
                lambda: Candidate(self._load(path), str(version.version), ())
            )
            lane.start()
            lane.wait(_LOAD_S)
        except GatekeeperError as error:
            if lane is not None:
                lane.close(0.0)
            self._refuse(version, str(error))
            self._metrics.swaps.labels("refused").inc()
            return
        self._put_on_probation(lane, version)

    def _put_on_probation(self, lane: Lane, version: RegisteredVersion) -> None:
        with self._lock:
            before, served = self._lane, self._served
            if before is None or served is None:
                return
            until = self._clock() + self._settings.probation_s
            if self._proven is None:
                self._proven = _Proven(before, served, lane, until)
            else:
                # The last version never proved itself: the one before it stays at hand.
                self._retire(before)
                self._proven = _Proven(self._proven.lane, self._proven.version, lane, until)
            self._swap(lane, version)

    def _swap(self, lane: Lane, version: RegisteredVersion) -> None:
        if self._lanes is None:
            return
        self._lanes.swap(lane)
        self._lane, self._served = lane, version
        self._metrics.serves(self.source.name, str(version.version))
        self._metrics.swaps.labels("swapped").inc()
        _LOG.info("%s decides from now on", version.uri)

    def check_on_lanes(self) -> None:
        """End a probation, well or not, and close lanes that nobody uses any more."""
        with self._lock:
            proven = self._proven
            if proven is not None:
                problem = _problem_of(proven.candidate)
                if problem is not None:
                    self._undo(proven, problem)
                elif self._clock() >= proven.until:
                    self._proven = None
                    self._retire(proven.lane)
                    if self._served is not None:
                        self._remember(self._served)
            self._close_unused()

    def _undo(self, proven: _Proven, problem: str) -> None:
        bad, self._proven = self._served, None
        if bad is not None:
            self._refuse(bad, f"it was swapped in and undone, because {problem}")
        self._swap(proven.lane, proven.version)
        self._metrics.swaps.labels("undone").inc()
        self._retire(proven.candidate)

    def _close_unused(self) -> None:
        now = self._clock()
        unused = [
            lane for lane, since in self._retired if lane.users == 0 and now - since >= _GRACE_S
        ]
        self._retired = [each for each in self._retired if each[0] not in unused]
        for lane in unused:
            lane.close(self._settings.deadline_s)

    def _retire(self, lane: Lane) -> None:
        self._retired.append((lane, self._clock()))

    def _refuse(self, version: RegisteredVersion, why: str) -> None:
        self._refused = (version, why)
        _LOG.error("%s is not served, what decides stays: %s", version.uri, why)

    def _remember(self, version: RegisteredVersion) -> None:
        try:
            self.source.keep(version)
        except OSError:
            _LOG.exception("%s cannot be written down as the last good version", version.uri)


def _problem_of(lane: Lane) -> str | None:
    """What speaks against a lane on probation."""
    health = lane.health
    if health.losses or lane.failure is not None:
        return "its engine was lost"
    if health.failures >= _FAILURES and health.failures > _FAILURE_SHARE * health.images:
        return f"it failed on {health.failures} of {health.images} images"
    return None
