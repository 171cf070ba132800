"""Places, and the end of letting in."""

from __future__ import annotations

import logging

import pytest

from gatekeeper.service.door import Door
from gatekeeper.service.errors import DrainingError, TooBusyError
from gatekeeper.service.metrics import ServiceMetrics


def test_places_are_bounded_and_given_back() -> None:
    metrics = ServiceMetrics([])
    door = Door(1, metrics)
    door.check()
    with door.place():
        assert door.in_flight == 1
        with pytest.raises(TooBusyError, match="at most 1 requests under way"):
            door.check()
    door.check()
    assert door.in_flight == 0
    with pytest.raises(RuntimeError), door.place():
        raise RuntimeError
    assert door.in_flight == 0
    assert b'gatekeeper_shed_total{why="too_busy"} 1.0' in metrics.exposition()


def test_draining_lets_nothing_in_and_keeps_what_is_in(caplog: pytest.LogCaptureFixture) -> None:
    metrics = ServiceMetrics([])
    door = Door(5, metrics)
    assert (door.is_draining, door.draining_s) == (False, 0.0)
    door.refuse_while_draining()
    with caplog.at_level(logging.INFO, "gatekeeper.service"), door.place():
        door.drain()
        since = door._draining_since
        door.drain()
        assert door._draining_since == since  # told twice, it began once
        assert door.is_draining
        assert door.in_flight == 1
        with pytest.raises(DrainingError, match="takes nothing new"):
            door.check()
    assert caplog.text.count("draining: 1 requests under way") == 1
    assert door.in_flight == 0
    assert door.draining_s >= 0
    assert b'gatekeeper_shed_total{why="draining"} 1.0' in metrics.exposition()
