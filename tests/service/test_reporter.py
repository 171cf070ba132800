"""Aggregates reach mlflow one by one, wait where it is down, and are dropped within bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gatekeeper.errors import TrackingError
from gatekeeper.service.book import Book, Totals
from gatekeeper.service.ledger import Ledger
from gatekeeper.service.reporter import Reporter, figures
from gatekeeper.service.trust_metrics import TrustMetrics
from gatekeeper.tracking import RegisteredVersion


def version(number: int) -> RegisteredVersion:
    return RegisteredVersion(
        name="gate",
        version=number,
        aliases=(),
        tags={"gatekeeper.bundle_sha256": f"{number:064x}"},
        run_id=None,
        created_ms=0,
    )


class FakeSink:
    def __init__(self) -> None:
        self.down = False
        self.taken: list[tuple[int, dict[str, float], float]] = []

    def log(self, version: RegisteredVersion, metrics: Mapping[str, float], at: float) -> str:
        if self.down:
            raise TrackingError("down")
        self.taken.append((version.version, dict(metrics), at))
        return "run"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Any]:
    registry = CollectorRegistry()
    metrics = TrustMetrics(registry)
    ledger = Ledger(tmp_path)
    book = Book(ledger, share=0.5, metrics=metrics)
    sink = FakeSink()
    now = iter(range(100, 200))
    reporter = Reporter(book, sink, metrics, waiting=2, clock=lambda: float(next(now)))
    yield book, sink, reporter, lambda: generate_latest(registry).decode()
    ledger.close()


def test_figures_by_hand() -> None:
    totals = Totals(decisions=4, accepted=3, restored=2, reliability=3.0) + Totals(
        labels=3, labels_counted=2, wrong_counted=1
    )
    assert figures(totals) == {
        "decisions": 4.0,
        "accepted": 3.0,
        "restored": 2.0,
        "labels": 3.0,
        "labels_counted": 2.0,
        "wrong_counted": 1.0,
        "coverage": 0.75,
        "mean_reliability": 0.75,
        "labelled_risk": 0.5,
    }
    assert "coverage" not in figures(Totals(labels=1))
    assert "labelled_risk" not in figures(Totals(labels=1))


def test_each_version_gets_its_own_aggregate_and_a_quiet_period_none(parts: Any) -> None:
    book, sink, reporter, _ = parts
    one, two = version(1), version(2)
    book.ledger.open_monitor(two.bundle, target_risk=0.1, confidence_level=0.9, share=0.5)
    book._add((one.bundle, "1"), Totals(decisions=1))
    book._add((two.bundle, "2"), Totals(decisions=2, accepted=1))
    book._add(("a directory's", ""), Totals(decisions=5))
    reporter.report(two, (one,))
    reporter.report(two, (one,))
    assert [(number, metrics["decisions"], at) for number, metrics, at in sink.taken] == [
        (1, 1.0, 100.0),
        (2, 2.0, 100.0),
    ]
    assert (sink.taken[1][1]["monitor_e_value"], sink.taken[1][1]["withdrawn"]) == (1.0, 0.0)
    assert "monitor_e_value" not in sink.taken[0][1]


def test_while_mlflow_is_down_aggregates_wait_within_bounds(parts: Any) -> None:
    book, sink, reporter, shown = parts
    served = version(1)
    sink.down = True
    for decisions in (1, 2, 3):
        book._add((served.bundle, "1"), Totals(decisions=decisions))
        reporter.report(served, ())
    assert sink.taken == []
    assert "gatekeeper_tracking_waiting 2.0" in shown()
    assert "gatekeeper_tracking_dropped_total 1.0" in shown()
    sink.down = False
    reporter.report(served, ())
    assert [(metrics["decisions"], at) for _, metrics, at in sink.taken] == [
        (2.0, 101.0),
        (3.0, 102.0),
    ]
    assert "gatekeeper_tracking_waiting 0.0" in shown()
