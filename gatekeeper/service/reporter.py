"""Aggregates of traffic and labels for mlflow, written beside the requests and never on their way.

Each period becomes one aggregate per served version. Where mlflow is down, aggregates wait and are
tried again; where too many wait, the oldest are dropped and counted.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gatekeeper.errors import TrackingError
from gatekeeper.service.book import Book, Totals
from gatekeeper.service.trust_metrics import TrustMetrics
from gatekeeper.service.versions import Sink
from gatekeeper.tracking import RegisteredVersion

_LOG = logging.getLogger("gatekeeper.service")
_WAITING = 240


@dataclass(frozen=True, slots=True)
class _Report:
    version: RegisteredVersion
    metrics: dict[str, float]
    at: float


class Reporter:
    """Writes what the book has summed up.

    Args:
        book: Sums.
        sink: Where it goes.
        metrics: Where waiting and dropped aggregates are shown.
        waiting: Aggregates that may wait, at least 1.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        book: Book,
        sink: Sink,
        metrics: TrustMetrics,
        *,
        waiting: int = _WAITING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._book = book
        self._sink = sink
        self._metrics = metrics
        self._clock = clock
        self._most = waiting
        self._waiting: deque[_Report] = deque()
        self._is_down = False

    def report(
        self, served: RegisteredVersion | None, known: tuple[RegisteredVersion, ...]
    ) -> None:
        """End a period, and write all that waits; blocks.

        Args:
            served: What decides now.
            known: Other versions that the period may be about.
        """
        versions = {(each.bundle, str(each.version)): each for each in known}
        if served is not None:
            versions[served.bundle, str(served.version)] = served
        now = self._clock()
        for decider, totals in self._book.take_totals().items():
            if decider in versions:
                metrics = figures(totals) | self._risk(decider[0])
                self._waiting.append(_Report(versions[decider], metrics, now))
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self._metrics.report_dropped()
        self._write()
        self._metrics.unreported.set(len(self._waiting))

    def _risk(self, bundle: str) -> dict[str, float]:
        known = self._book.ledger.monitor(bundle)
        if known is None:
            return {}
        state, _ = known
        return {"monitor_e_value": state.e_value, "withdrawn": float(state.withdrawn)}

    def _write(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            try:
                self._sink.log(first.version, first.metrics, first.at)
            except TrackingError as error:
                if not self._is_down:
                    _LOG.warning("aggregates wait because mlflow does not take them: %s", error)
                self._is_down = True
                return
            self._is_down = False
            self._waiting.popleft()


def figures(totals: Totals) -> dict[str, float]:
    """The metrics of one period; shares are left out where nothing was decided or labelled."""
    named = {
        "decisions": float(totals.decisions),
        "accepted": float(totals.accepted),
        "restored": float(totals.restored),
        "labels": float(totals.labels),
        "labels_counted": float(totals.labels_counted),
        "wrong_counted": float(totals.wrong_counted),
    }
    if totals.decisions:
        named["coverage"] = totals.accepted / totals.decisions
        named["mean_reliability"] = totals.reliability / totals.decisions
    if totals.labels_counted:
        named["labelled_risk"] = totals.wrong_counted / totals.labels_counted
    return named
