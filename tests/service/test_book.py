"""What is kept about a decision: its entry, its window of traffic, its sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from gatekeeper.engine import Engine, EngineAnswer, stages_of
from gatekeeper.monitoring import WINDOW, TrafficState
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.service.bodies import describe_loaded
from gatekeeper.service.book import Book, Totals
from gatekeeper.service.ledger import Ledger
from gatekeeper.service.schemas import ImageBody
from gatekeeper.service.trust_metrics import TrustMetrics
from gatekeeper.signals import N_SCALARS, read_signals
from tests.service.conftest import wait_until
from tests.small_gate import small, stream_images

WHO = {"request_id": "r1"}
FACTS = ImageBody(width=28, height=28, sha256="a" * 64)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(
        Ledger(tmp_path), share=1.0, metrics=TrustMetrics(CollectorRegistry()), clock=lambda: 7.0
    )
    yield book
    book.close()


@pytest.fixture(scope="module")
def answers() -> list[EngineAnswer]:
    """Of the small gate, through a real engine."""
    gatekeeper = Gatekeeper(small().result.fitted, "c" * 64)
    engine = Engine(lambda: stages_of(gatekeeper))
    engine.start()
    wait_until(lambda: engine.is_ready)
    done = [future.result(30) for future in engine.submit(list(stream_images()))]
    engine.close()
    return done


def test_traffic_is_tested_with_the_bundles_own_test(
    book: Book, answers: list[EngineAnswer]
) -> None:
    fitted = small().result.fitted
    loaded = describe_loaded(Gatekeeper(fitted, "c" * 64), version="4")
    assert book.open(loaded) is None
    images = stream_images()
    bodies = []
    for number in range(WINDOW + 3):
        answer = answers[number % len(answers)]
        body = book.enter(loaded.body(answer, FACTS, 0.1), answer, loaded, WHO)
        bodies.append(body)
        if number == WINDOW - 2:
            assert book.test("c" * 64) == TrafficState()
    state = book.test("c" * 64)
    assert (state.n_windows, state.n_images) == (1, WINDOW)
    rows = np.arange(WINDOW) % len(answers)
    raw = np.array([body.attempts[0].reliability for body in bodies[:WINDOW]])
    signals = read_signals(images)[rows, :N_SCALARS].astype(np.float64)
    expected = fitted.conditions.p_value(signals, raw)
    assert state.p_value == pytest.approx(expected)
    if fitted.accuracy is not None:
        final = [body.reliability for body in bodies[:WINDOW]]
        assert state.accuracy == fitted.accuracy.accuracy(final)
    assert book.test("c" * 64) is state
    assert book.test("another bundle") == TrafficState()


def test_a_decision_is_entered_drawn_and_summed_up(book: Book, answers: list[EngineAnswer]) -> None:
    loaded = describe_loaded(Gatekeeper(small().result.fitted, "c" * 64), version="4")
    book.open(loaded)
    bodies = [
        book.enter(loaded.body(each, FACTS, 0.1), each, loaded, {"request_id": f"r{number}"})
        for number, each in enumerate(answers)
    ]
    accepted = [body for body in bodies if body.label is not None]
    assert 0 < len(accepted) < len(bodies)
    assert all((body.sample is not None) == (body.label is not None) for body in bodies)
    assert all(body.sample.drawn for body in accepted if body.sample)
    done = book.ledger.label(accepted[0].label or 0, request_id=f"r{bodies.index(accepted[0])}")
    assert (done.right, done.entry.version, done.entry.taken) == (True, "4", 7.0)
    assert (done.entry.n_classes, done.entry.covered, done.entry.counts) == (10, True, True)
    [(decider, totals)] = book.take_totals().items()
    assert decider == ("c" * 64, "4")
    assert totals == Totals(
        decisions=len(bodies),
        accepted=len(accepted),
        restored=sum(len(body.attempts) > 1 for body in bodies),
        reliability=pytest.approx(sum(body.reliability for body in bodies)),
    )
    assert book.take_totals() == {}


def test_answers_of_a_lower_gear_do_not_speak_for_the_certified_policy(
    book: Book, answers: list[EngineAnswer]
) -> None:
    loaded = describe_loaded(Gatekeeper(small().result.fitted, "c" * 64))
    book.open(loaded)
    [full, *_] = [each for each in answers if each.outcome.label is not None]
    low = replace(full, outcome=replace(full.outcome, policy="restore@half", certified=False))
    body = book.enter(loaded.body(low, FACTS, 0.1), low, loaded, WHO)
    assert body.sample is not None
    done = book.ledger.label(body.label or 0, decision_id=body.decision_id)
    assert (done.entry.drawn, done.entry.covered, done.entry.counts) == (True, False, False)
