"""Candidates whose pixels differ by a number, and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gatekeeper.review import Candidate, ReviewQueue


def numbered(number: int, kind: str = "abstained", **changes: Any) -> Candidate:
    """A plain image of one of 65,536 colours."""
    red, green = divmod(number, 256)
    image = torch.tensor([red, green, 7]).div(255).reshape(3, 1, 1).expand(3, 4, 5)
    given = {
        "decision_id": f"{kind}-{number}",
        "image": image,
        "kind": kind,
        "probability": 1.0,
        "answer": number % 3,
        "reliability": 0.25,
        "reason": "GK220",
        "bundle": "b" * 64,
    }
    return Candidate(**{**given, **changes})


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def make() -> Callable[..., Candidate]:
    return numbered


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Iterator[ReviewQueue]:
    opened = ReviewQueue(tmp_path / "review", max_images=40, keep_days=10, clock=clock)
    yield opened
    opened.close()
