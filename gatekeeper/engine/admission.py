"""Who is let in: only what will be done in time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gatekeeper.engine.latency import LatencyModel
from gatekeeper.engine.problems import OverloadError

_LONGEST_RETRY_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkAhead:
    """What lies before a new request.

    Attributes:
        running_s: Predicted rest of the batch that is being computed, at least 0.
        first: Images that wait for their first look.
        second: Images that wait for restoration.
        restored_share: Share of the first looks that lead to a restoration, in [0, 1].
    """

    running_s: float
    first: int
    second: int
    restored_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One stage as admission sees it.

    Attributes:
        latency: How long its batches take.
        batch: Its largest batch.
        bound: How many images may wait for it.
    """

    latency: LatencyModel
    batch: int
    bound: int


def predicted_s(ahead: WorkAhead, n: int, first: Line, second: Line) -> float:
    """Seconds until the last of ``n`` new images is decided, restorations counted.

    The second stage is charged with its share of all first looks, those ahead included.
    """
    looks = ahead.first + n
    restorations = ahead.second + math.ceil(looks * ahead.restored_share)
    return (
        ahead.running_s
        + first.latency.predict_all(looks, first.batch)
        + second.latency.predict_all(restorations, second.batch)
    )


def check_admission(
    ahead: WorkAhead, n: int, first: Line, second: Line, *, deadline_s: float
) -> None:
    """Let ``n`` new images in, or say when to come back.

    Args:
        ahead: The work before them.
        n: At least 1.
        first: The stage of first looks.
        second: The stage of restoration.
        deadline_s: Time that the request has left.

    Raises:
        OverloadError: they would overfill the queue (``queue_full``) or be late (``too_late``);
            ``retry_after_s`` is when by prediction they would not.
    """
    excess = ahead.first + n - first.bound
    if excess > 0:
        wait = ahead.running_s + first.latency.predict_all(min(excess, ahead.first), first.batch)
        raise OverloadError(
            "queue_full",
            _retry(wait),
            f"expected at most {first.bound} images waiting, got {ahead.first + n}: come back in "
            f"{_retry(wait)} s",
        )
    late = predicted_s(ahead, n, first, second) - deadline_s
    if late > 0:
        raise OverloadError(
            "too_late",
            _retry(late),
            f"expected to decide within {deadline_s:.3g} s, predicted {late:.3g} s more: come back "
            f"in {_retry(late)} s",
        )


def _retry(seconds: float) -> int:
    return min(max(1, math.ceil(seconds)), _LONGEST_RETRY_S)
