"""Puts together what watches over the certificate: ledger, book, registry, reports to mlflow."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from gatekeeper.paths import home
from gatekeeper.service.book import Book
from gatekeeper.service.host import Host
from gatekeeper.service.ledger import Ledger
from gatekeeper.service.periodic import Periodic
from gatekeeper.service.reporter import Reporter
from gatekeeper.service.trust_metrics import TrustMetrics
from gatekeeper.service.versions import Follow
from gatekeeper.service.watcher import Watcher
from gatekeeper.settings import Settings

_UPKEEP_S = 1.0
# What mlflow may take for the last report: an orderly stop takes less than half a minute.
_REPORT_S = 5.0


@dataclass(frozen=True, slots=True)
class Trust:
    """The parts, before there is a host.

    Attributes:
        metrics: Where they are shown.
        book: Keeps decisions; None where no ledger is kept.
        watcher: Follows the registry; None where a directory is served.
        reporter: Writes to mlflow; None without a book or a registry.
    """

    metrics: TrustMetrics
    book: Book | None
    watcher: Watcher | None
    reporter: Reporter | None


def make_trust(settings: Settings, registry: CollectorRegistry, follow: Follow | None) -> Trust:
    """Open the ledger and the way to the model registry.

    Args:
        settings: Shares, bounds and periods.
        registry: Of the app's metrics.
        follow: The alias that is served, if one is.

    Raises:
        InputError: the folder of the ledger cannot be used.
    """
    metrics = TrustMetrics(registry)
    book = _book(settings, metrics)
    watcher = None if follow is None else Watcher(follow, settings=settings, metrics=metrics)
    reporter = None
    if follow is not None and follow.sink is not None and book is not None:
        reporter = Reporter(book, follow.sink, metrics)
    return Trust(metrics, book, watcher, reporter)


def _book(settings: Settings, metrics: TrustMetrics) -> Book | None:
    if settings.ledger_decisions == 0:
        return None
    ledger = Ledger(
        home() / "feedback",
        max_decisions=settings.ledger_decisions,
        on_drop=metrics.ledger_dropped,
    )
    return Book(ledger, share=settings.feedback_share, metrics=metrics)


class Upkeep:
    """What is done now and then beside the requests.

    Args:
        trust: The parts.
        host: Decides.
        settings: Periods.
    """

    def __init__(self, trust: Trust, host: Host, settings: Settings) -> None:
        self._trust = trust
        self._host = host
        self._tending = Periodic(self.tend, every_s=_UPKEEP_S, name="gatekeeper-upkeep")
        self._reporting = Periodic(
            self.report, every_s=settings.report_s, name="gatekeeper-reports", at_end=True
        )

    def start(self) -> None:
        """Begin."""
        if self._trust.book is not None:
            self._tending.start()
        if self._trust.reporter is not None:
            self._reporting.start()

    def close(self) -> None:
        """Do it a last time, and let go of the ledger; called once the host is closed."""
        self._tending.close()
        self._reporting.close(_REPORT_S)
        if self._trust.book is not None:
            self._trust.book.close()

    def tend(self) -> None:
        """Heed labels of other processes, test whole windows of traffic, and show both."""
        book, bundle = self._trust.book, self._host.bundle_id
        if book is None or bundle is None:
            return
        book.ledger.refresh()
        self._host.heed_labels()
        self._trust.metrics.tested(book.test(bundle))
        known = book.ledger.monitor(bundle)
        if known is not None:
            self._trust.metrics.e_value.set(known[0].e_value)
            self._trust.metrics.withdrawn.set(known[0].withdrawn)

    def report(self) -> None:
        """Write a period to mlflow."""
        reporter, watcher = self._trust.reporter, self._trust.watcher
        if reporter is not None and watcher is not None:
            state = watcher.state
            reporter.report(state.served, state.known)
