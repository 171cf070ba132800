"""Stages that compute nothing, a clock that stands still, and a way to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.decision import Action, Attempt, Decision, Reason
from gatekeeper.engine import Doubted, Judged
from gatekeeper.protocols import Evidence

DARK, BRIGHT, POISON, NAN, HEAVY = 0.25, 0.75, 0.5, 0.125, 1.0


def picture(value: float, size: int = 2) -> Tensor:
    """A flat image whose value says what becomes of it."""
    return torch.full((3, size, size), value)


def decision(label: int, action: Action = Action.ACCEPT, **more: Any) -> Decision:
    return Decision(
        action=action,
        reason=Reason.ACCEPTED_RAW if action is Action.ACCEPT else Reason.NO_RESTORER,
        label=label if action is Action.ACCEPT else None,
        reliability=0.9,
        attempts=(Attempt(restorer=None, label=label, reliability=0.9, action=action),),
        policy="restore",
        certified=True,
        model_id="fake",
        calibration_id="c",
        **more,
    )


def doubt(image: Tensor, draw: float = 0.4) -> Doubted:
    look = Evidence(
        logits=np.zeros((1, 2)), logits_kind="logits", features=None, signals=np.zeros((1, 1)),
        probes=np.zeros((1, 0)), seeds=np.zeros(1, dtype=np.int64), restorer=np.array([""]),
    )  # fmt: skip
    return Doubted(
        image=image, seed=0, draw=draw, look=look, raw=0.1, restorer="median", symptoms=(),
        unrestored=Judged(decision=decision(3, Action.ABSTAIN)),
    )  # fmt: skip


class FakeStages:
    """Bright images are accepted as class 1, dark ones restored as class 2; keeps a diary."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.calls: list[tuple[str, int]] = []
        self.error: BaseException | None = None
        self.restore_error: Exception | None = None
        self.label_error: Exception | None = None
        self.fits = 10**9

    def labels(self, images: Tensor) -> Sequence[int]:
        if self.label_error is not None:
            raise self.label_error
        return [7] * len(images)

    def first(self, images: Tensor) -> Sequence[Any]:
        self.calls.append(("decide", len(images)))
        self.entered.release()
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        if len(images) > self.fits:
            raise torch.OutOfMemoryError("out of memory")
        values = images.mean(dim=(1, 2, 3)).tolist()
        if POISON in values:
            raise ValueError("poison")
        return [self._judge(value, image) for value, image in zip(values, images, strict=True)]

    def _judge(self, value: float, image: Tensor) -> Any:
        if value == NAN:
            return ArithmeticError("not finite")
        return doubt(image) if value == DARK else Judged(decision=decision(1))

    def second(self, doubted: Sequence[Doubted]) -> Sequence[Any]:
        self.calls.append(("restore", len(doubted)))
        if self.restore_error is not None:
            raise self.restore_error
        return [Judged(decision=decision(2)) for _ in doubted]


@pytest.fixture
def stages() -> FakeStages:
    return FakeStages()


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Poll, with an end."""
    tick = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        tick.wait(0.01)
    pytest.fail("it did not happen in time")
