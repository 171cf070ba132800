"""A gatekeeper that decides without a classifier, images, and apps over it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from torch import Tensor

from gatekeeper.decision import Action, Attempt, Decision, Reason
from gatekeeper.service import create_app
from gatekeeper.settings import Settings

BUNDLE = "b" * 64


class FakeGatekeeper:
    """Bright images are accepted as "bag", dark ones are restored in vain; keeps a diary."""

    class_names = ("shirt", "bag")
    model_id = "fake@1"
    calibration_id = BUNDLE
    image_size = (8, 5)

    def __init__(self) -> None:
        self.certificate: dict[str, Any] = {
            "certified": True,
            "target_risk": 0.05,
            "confidence_level": 0.95,
            "more": "than is shown",
        }
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.error: Exception | None = None
        self.threads: set[str] = set()
        self.canaries = 0
        self.overlaps = 0
        self._inside = threading.Lock()

    def decide(self, images: Tensor) -> list[Decision]:
        assert images.shape == (len(images), 3, *self.image_size)
        assert images.dtype == torch.float32
        self.overlaps += not self._inside.acquire(blocking=False)
        try:
            self.threads.add(threading.current_thread().name)
            self.entered.release()
            assert self.gate.wait(10)
            if self.error is not None:
                raise self.error
            return [self.judge(float(image.mean())) for image in images]
        finally:
            self._inside.release()

    def canary(self) -> Decision:
        self.canaries += 1
        return self.decide(torch.zeros(1, 3, *self.image_size))[0]

    def judge(self, mean: float) -> Decision:
        common = {
            "policy": "full",
            "certified": True,
            "model_id": self.model_id,
            "calibration_id": self.calibration_id,
        }
        if mean > 0.5:
            raw = Attempt(restorer=None, label=1, reliability=0.97, action=Action.ACCEPT)
            return Decision(
                action=Action.ACCEPT,
                reason=Reason.ACCEPTED_RAW,
                label=1,
                reliability=0.96,
                attempts=(raw,),
                symptoms=("overexposed",),
                **common,
            )
        return Decision(
            action=Action.ABSTAIN,
            reason=Reason.STILL_UNRELIABLE,
            label=None,
            reliability=0.5,
            attempts=(
                Attempt(restorer=None, label=0, reliability=0.3, action=Action.RESTORE),
                Attempt(restorer="median", label=1, reliability=0.55, action=Action.ABSTAIN),
            ),
            **common,
        )


def encoded(size: tuple[int, int] = (6, 4), grey: int = 255, format_: str = "PNG") -> bytes:
    """A plain image file."""
    out = BytesIO()
    Image.new("RGB", size, (grey, grey, grey)).save(out, format_)
    return out.getvalue()


@pytest.fixture
def image_file() -> Callable[..., bytes]:
    return encoded


@pytest.fixture
def fake() -> FakeGatekeeper:
    return FakeGatekeeper()


@pytest.fixture
def start() -> Iterator[Callable[..., TestClient]]:
    """``start(load, **settings)``: a client of a started app; stopped after the test."""
    with ExitStack() as running:

        def start_app(load: Callable[[], Any], **settings: Any) -> TestClient:
            app = create_app(Settings(**settings), load)
            return running.enter_context(TestClient(app))

        yield start_app


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Poll, with an end."""
    tick = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        tick.wait(0.01)
    pytest.fail("it did not happen in time")


@pytest.fixture
def eventually() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def client(start: Callable[..., TestClient], fake: FakeGatekeeper) -> TestClient:
    """A client of a ready app over ``fake`` that takes bodies of up to 4,000 bytes."""
    client = start(lambda: fake, max_body_bytes=4000, max_pixels=10_000, max_concurrent=2)
    wait_until(lambda: client.get("/readyz").status_code == 200)
    return client
