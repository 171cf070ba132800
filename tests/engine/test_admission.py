"""Predicted completion by hand arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engine import LatencyModel, OverloadError
from gatekeeper.engine.admission import Line, WorkAhead, check_admission, predicted_s

# Two images take 1.0 s at the first stage; one restoration takes 3 s.
FIRST = Line(latency=LatencyModel(seconds_per_item=0.25, seconds_per_batch=0.5), batch=2, bound=6)
SECOND = Line(latency=LatencyModel(seconds_per_item=2.0, seconds_per_batch=1.0), batch=1, bound=4)


def ahead(**given: Any) -> WorkAhead:
    return WorkAhead(**{"running_s": 0.0, "first": 0, "second": 0, "restored_share": 0.0, **given})


@pytest.mark.parametrize(
    ("work", "n", "seconds"),
    [
        (ahead(), 1, 0.75),
        (ahead(), 2, 1.0),
        (ahead(first=2), 1, 1.75),
        (ahead(running_s=0.4, first=2), 1, 2.15),
        (ahead(second=2), 1, 6.75),
        (ahead(first=3, restored_share=0.5), 1, 2.0 + 2 * 3.0),
        (ahead(restored_share=0.1), 1, 0.75 + 3.0),
    ],
)
def test_prediction(work: WorkAhead, n: int, seconds: float) -> None:
    assert predicted_s(work, n, FIRST, SECOND) == pytest.approx(seconds)


def test_in_time_is_let_in_to_the_last() -> None:
    check_admission(ahead(first=2), 1, FIRST, SECOND, deadline_s=1.75)
    check_admission(ahead(first=5), 1, FIRST, SECOND, deadline_s=100)


@pytest.mark.parametrize(
    ("work", "n", "deadline_s", "why", "retry_after_s"),
    [
        (ahead(first=2), 1, 1.7, "too_late", 1),
        (ahead(first=2, second=2), 1, 1.75, "too_late", 6),
        (ahead(first=2, second=2), 1, 0.0, "too_late", 8),
        (ahead(first=2, second=900), 1, 1.0, "too_late", 60),
        (ahead(running_s=2.1, first=6), 1, 100, "queue_full", 3),  # 2.1 + one image's 0.75
        (ahead(first=4), 5, 100, "queue_full", 2),  # three of those before must go: 1.0 + 0.75
        (ahead(), 7, 100, "queue_full", 1),
    ],
)
def test_retry_after_is_computed(
    work: WorkAhead, n: int, deadline_s: float, why: str, retry_after_s: int
) -> None:
    with pytest.raises(OverloadError, match=f"come back in {retry_after_s} s") as caught:
        check_admission(work, n, FIRST, SECOND, deadline_s=deadline_s)
    assert (caught.value.why, caught.value.retry_after_s) == (why, retry_after_s)
