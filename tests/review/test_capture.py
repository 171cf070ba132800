"""Capture beside the requests: in order, never blocking, and what is dropped is counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.review import Candidate, Capture, ReviewQueue


def test_what_is_offered_is_stored_before_it_closes(
    tmp_path: Path, make: Callable[..., Candidate]
) -> None:
    capture = Capture(ReviewQueue(tmp_path, max_images=10))
    for number in range(5):
        capture.offer(make(number))
    capture.close()
    again = ReviewQueue(tmp_path, max_images=10)
    assert [item.decision_id for item in again.all_items()] == [
        f"abstained-{number}" for number in range(5)
    ]
    again.close()


def test_what_has_no_place_or_fails_is_counted_and_holds_nobody_up(
    tmp_path: Path,
    make: Callable[..., Candidate],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    review = ReviewQueue(tmp_path, max_images=10)
    dropped: list[int] = []
    entered, go_on = threading.Event(), threading.Event()
    take = review.take

    def slow(candidate: Candidate) -> bool:
        entered.set()
        assert go_on.wait(10)
        if candidate.decision_id == "abstained-0":
            raise OSError(28, "No space left on device")
        return take(candidate)

    monkeypatch.setattr(review, "take", slow)
    capture = Capture(review, waiting=2, on_drop=lambda: dropped.append(1))
    capture.offer(make(0))
    assert entered.wait(10)
    for number in (1, 2, 3):  # two may wait, the third has no place
        capture.offer(make(number))
    assert len(dropped) == 1
    go_on.set()
    capture.close()
    assert len(dropped) == 2
    assert "the review queue cannot be written" in caplog.text
    again = ReviewQueue(tmp_path, max_images=10)
    assert {item.decision_id for item in again.all_items()} == {"abstained-1", "abstained-2"}
    again.close()


def test_what_is_too_old_goes_though_nothing_comes(
    tmp_path: Path, make: Callable[..., Candidate], clock: Any
) -> None:
    review = ReviewQueue(tmp_path, max_images=10, keep_days=1, clock=clock)
    review.take(make(1))
    capture = Capture(review, expire_every_s=0.01)
    clock.now += 86_401
    for _ in range(1000):
        if not review.all_items():
            break
        threading.Event().wait(0.01)
    assert review.all_items() == []
    capture.close()
