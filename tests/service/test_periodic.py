"""Work beside the service goes on after an error, can be woken, and ends."""

from __future__ import annotations

import logging
import queue

import pytest

from gatekeeper.service.periodic import Periodic


def test_an_error_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    calls: queue.Queue[int] = queue.Queue()

    def work() -> None:
        calls.put(1)
        raise ValueError("this time")

    periodic = Periodic(work, every_s=0.005, name="test-work")
    with caplog.at_level(logging.ERROR, logger="gatekeeper"):
        periodic.start()
        for _ in range(3):
            calls.get(timeout=10)
        periodic.close()
    assert "test-work met an error" in caplog.text
    assert "this time" in caplog.text


def test_it_can_be_woken_and_called_a_last_time() -> None:
    calls: queue.Queue[int] = queue.Queue()
    rare = Periodic(lambda: calls.put(1), every_s=1000, name="test-rare")
    rare.start()
    rare.wake()
    calls.get(timeout=10)
    rare.close()
    assert calls.empty()
    last = Periodic(lambda: calls.put(2), every_s=1000, name="test-last", at_end=True)
    last.start()
    last.close()
    assert calls.get(timeout=10) == 2


def test_what_was_never_started_is_closed_at_once() -> None:
    Periodic(pytest.fail, every_s=1, name="test-never").close()
