"""Where versions of a bundle come from, as the service needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gatekeeper.service.served import ServedGatekeeper
from gatekeeper.tracking import RegisteredVersion


class VersionSource(Protocol):
    """What the service needs of ``gatekeeper.tracking.ServedAlias``; its calls may block."""

    @property
    def name(self) -> str:
        """Name of the registered model."""
        ...

    @property
    def alias(self) -> str:
        """The alias that is followed; "" for a version that never moves."""
        ...

    def current(self) -> RegisteredVersion:
        """The version behind the alias now; raises TrackingError."""
        ...

    def known(self) -> tuple[RegisteredVersion, ...]:
        """All versions, newest first; raises TrackingError."""
        ...

    def fetch(self, version: RegisteredVersion, /) -> Path:
        """Its verified bundle; raises BundleError or TrackingError."""
        ...

    def last_good(self) -> RegisteredVersion | None:
        """The version that served well last."""
        ...

    def keep(self, version: RegisteredVersion, /) -> None:
        """Remember that it serves well."""
        ...

    def promote(self, number: int, /) -> RegisteredVersion:
        """Make a version the champion; raises BundleError or TrackingError."""
        ...

    def roll_back(self) -> RegisteredVersion:
        """Make the former champion the champion again; raises TrackingError."""
        ...


class Sink(Protocol):
    """Where aggregates go: what the service needs of ``gatekeeper.tracking.ServingRun``."""

    def log(self, version: RegisteredVersion, metrics: Mapping[str, float], at: float, /) -> str:
        """Write the figures of one period; raises TrackingError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """What to serve in place of one directory: the version behind an alias, whatever it is.

    Attributes:
        source: The versions.
        load: A verified directory to what decides.
        check: Raises GatekeeperError where a bundle decides its golden set differently.
        sink: Where aggregates of traffic go; None writes none.
    """

    source: VersionSource
    load: Callable[[Path], ServedGatekeeper]
    check: Callable[[Path], None]
    sink: Sink | None = None
