"""Live traffic: differences of counters, by hand."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from gatekeeper.engine import Gear
from gatekeeper.service.console.history import COUNTERS, Traffic, read_counters
from gatekeeper.service.metrics import ServiceMetrics

TEXT = """
# TYPE gatekeeper_decisions counter
gatekeeper_decisions_total{action="accept",reason="GK100"} 5.0
gatekeeper_decisions_total{action="accept",reason="GK110"} 2.0
gatekeeper_decisions_total{action="abstain",reason="GK200"} 3.0
# TYPE gatekeeper_shed counter
gatekeeper_shed_total{why="queue_full"} 4.0
gatekeeper_shed_total{why="late"} 1.0
# TYPE gatekeeper_requests counter
gatekeeper_requests_total{route="/v1/decide",code="200"} 9.0
gatekeeper_requests_total{route="/v1/decide",code="500"} 1.0
gatekeeper_requests_total{route="/v1/decide",code="503"} 2.0
gatekeeper_requests_total{route="/readyz",code="503"} 40.0
# TYPE gatekeeper_reliability histogram
gatekeeper_reliability_bucket{le="0.5"} 3.0
gatekeeper_reliability_bucket{le="+Inf"} 10.0
gatekeeper_reliability_sum 8.0
gatekeeper_reliability_count 10.0
# TYPE gatekeeper_decide_seconds histogram
gatekeeper_decide_seconds_bucket{le="+Inf"} 10.0
gatekeeper_decide_seconds_sum 0.5
gatekeeper_decide_seconds_count 10.0
# TYPE gatekeeper_engines_lost counter
gatekeeper_engines_lost_total 1.0
"""
QUIET = "# TYPE gatekeeper_shed counter\n"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_counters_by_short_names() -> None:
    assert read_counters(TEXT) == {
        "decisions accept": 7.0,
        "decisions abstain": 3.0,
        "shed": 5.0,
        "errors": 3.0,
        "gatekeeper_reliability_sum": 8.0,
        "gatekeeper_reliability_count": 10.0,
        "gatekeeper_decide_seconds_sum": 0.5,
        "gatekeeper_decide_seconds_count": 10.0,
        "engines lost": 1.0,
    }


def test_a_point_is_what_grew_between_two_looks() -> None:
    texts = [QUIET, TEXT, TEXT]
    clock = Clock()
    traffic = Traffic(lambda: texts.pop(0).encode(), clock=clock)
    clock.now += 4
    traffic.look()
    clock.now += 5
    traffic.look()
    first, second = traffic.points
    assert (first.at, first.seconds) == (1004.0, 4.0)
    assert (first.accepted, first.abstained, first.shed, first.errors) == (7, 3, 5, 3)
    assert (first.mean_reliability, first.mean_ms) == (0.8, 50.0)
    assert (second.accepted, second.mean_reliability, second.mean_ms) == (0, None, None)
    assert traffic.gauge("engines lost") == 1
    assert traffic.gauge("nothing") == 0


def test_a_clock_that_stands_and_counters_that_begin_again_give_no_nonsense() -> None:
    texts = [TEXT, TEXT, QUIET + 'gatekeeper_shed_total{why="late"} 1.0\n']
    clock = Clock()
    traffic = Traffic(lambda: texts.pop(0).encode(), clock=clock)
    traffic.look()
    assert traffic.points == []
    clock.now += 5
    traffic.look()
    assert traffic.points[0].shed == 0


def test_only_the_newest_are_kept() -> None:
    clock = Clock()
    traffic = Traffic(QUIET.encode, keep=3, clock=clock)
    for _ in range(5):
        clock.now += 1
        traffic.look()
    assert [point.at for point in traffic.points] == [1003.0, 1004.0, 1005.0]


def test_it_follows_until_it_is_cancelled() -> None:
    threads = set()

    async def scenario() -> int:
        clock = Clock()

        def exposition() -> bytes:
            threads.add(threading.current_thread())
            clock.now += 1
            return QUIET.encode()

        traffic = Traffic(exposition, every_s=0.001, clock=clock)
        following = asyncio.create_task(traffic.follow())
        while len(traffic.points) < 3:
            await asyncio.sleep(0.001)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        return len(traffic.points)

    assert asyncio.run(scenario()) >= 3
    # The first look is made before there is an event loop; the others do not hold it up.
    assert threading.main_thread() in threads
    assert len(threads) > 1


def test_the_names_are_those_of_the_service() -> None:
    metrics = ServiceMetrics(["/v1/decide"])
    metrics.refused("late")
    metrics.answered("/v1/decide", 500)
    metrics.shifted(Gear(name="full", load_from=0.0, restored_share=1.0))
    found = read_counters(metrics.exposition_of(COUNTERS).decode())
    assert found == read_counters(metrics.exposition().decode())
    assert {"shed": 1.0, "errors": 1.0, "engines lost": 0.0}.items() <= found.items()
    assert {"gatekeeper_reliability_count", "gatekeeper_decide_seconds_sum"} <= set(found)
