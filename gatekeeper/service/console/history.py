"""Live traffic: the service's own counters, looked at every few seconds and kept for a while."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from gatekeeper.service.console.bodies import PointBody
from gatekeeper.service.surfaces import PROBES

Counters: TypeAlias = dict[str, float]

_DECISIONS = "gatekeeper_decisions_total"
_SHED = "gatekeeper_shed_total"
_REQUESTS = "gatekeeper_requests_total"
_RELIABILITY = "gatekeeper_reliability"
_SECONDS = "gatekeeper_decide_seconds"
_LOST = "gatekeeper_engines_lost_total"
_SERVER_ERROR = "5"

COUNTERS = (
    _DECISIONS,
    _SHED,
    _REQUESTS,
    *(f"{name}_{part}" for name in (_RELIABILITY, _SECONDS) for part in ("sum", "count")),
    _LOST,
)
"""Names of all samples that are read; to write out and parse all others takes many times longer."""


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    counters: Counters


class Traffic:
    """What happened between one look at the metrics and the next, for the last half hour.

    Args:
        exposition: Gives the metrics in Prometheus's text format, :data:`COUNTERS` at least; called
            in threads beside the event loop.
        every_s: Seconds between two looks, above 0.
        keep: Points that are kept.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        exposition: Callable[[], bytes],
        *,
        every_s: float = 5.0,
        keep: int = 360,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.every_s = every_s
        self._exposition = exposition
        self._clock = clock
        self._points: deque[PointBody] = deque(maxlen=keep)
        self._last = self._look()

    @property
    def points(self) -> list[PointBody]:
        """Oldest first."""
        return list(self._points)

    def look(self) -> None:
        """Add a point."""
        self._add(self._look())

    def _add(self, now: _Look) -> None:
        before, self._last = self._last, now
        seconds = now.at - before.at
        if seconds > 0:  # a clock that was set back ends no interval
            grown = {
                name: max(0.0, value - before.counters.get(name, 0.0))
                for name, value in now.counters.items()
            }
            self._points.append(_point(now.at, seconds, grown))

    async def follow(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(self.every_s)
            # Beside the event loop, which answers requests meanwhile.
            self._add(await asyncio.to_thread(self._look))

    def gauge(self, name: str) -> float:
        """A value of the last look; 0 where there was none."""
        return self._last.counters.get(name, 0.0)

    def _look(self) -> _Look:
        return _Look(self._clock(), read_counters(self._exposition().decode()))


def read_counters(text: str) -> Counters:
    """The numbers behind the points, by short names.

    Args:
        text: In Prometheus's text format.
    """
    found: Counters = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = _short(sample.name, sample.labels)
            if name is not None:
                found[name] = found.get(name, 0.0) + sample.value
    return found


def _short(name: str, labels: dict[str, str]) -> str | None:
    if name == _DECISIONS:
        return f"decisions {labels['action']}"
    if name == _SHED:
        return "shed"
    if name == _REQUESTS:
        failed = labels["code"].startswith(_SERVER_ERROR) and labels["route"] not in PROBES
        return "errors" if failed else None
    if name in {f"{_RELIABILITY}_sum", f"{_RELIABILITY}_count"}:
        return name
    if name in {f"{_SECONDS}_sum", f"{_SECONDS}_count"}:
        return name
    return "engines lost" if name == _LOST else None


def _point(at: float, seconds: float, grown: Counters) -> PointBody:
    return PointBody(
        at=round(at, 3),
        seconds=round(seconds, 3),
        accepted=grown.get("decisions accept", 0.0),
        abstained=grown.get("decisions abstain", 0.0),
        shed=grown.get("shed", 0.0),
        errors=grown.get("errors", 0.0),
        mean_reliability=_mean(grown, _RELIABILITY, 1.0),
        mean_ms=_mean(grown, _SECONDS, 1000.0),
    )


def _mean(grown: Counters, name: str, unit: float) -> float | None:
    count = grown.get(f"{name}_count", 0.0)
    if count == 0:
        return None
    mean = grown.get(f"{name}_sum", 0.0) / count * unit
    return round(min(mean, 1.0) if unit == 1.0 else mean, 6)
