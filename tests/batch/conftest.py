"""A gate that decides by how bright an image is, and files to give to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.batch import Facts
from gatekeeper.decision import Action, Attempt, Decision, Reason
from gatekeeper.engine import Doubted, Judged

CLASSES = ("dark", "bright")
_COMMON = {"policy": "restore", "certified": True, "model_id": "fake", "calibration_id": "b" * 64}


def decision(
    action: Action,
    reason: Reason,
    reliability: float,
    attempts: Sequence[tuple[str | None, int, float]],
    symptoms: tuple[str, ...] = (),
) -> Decision:
    """Attempts are (restorer, label, reliability); the last one is kept."""
    return Decision(
        action=action,
        reason=reason,
        label=attempts[-1][1] if action is Action.ACCEPT else None,
        reliability=reliability,
        attempts=tuple(
            Attempt(restorer=name, label=label, reliability=number, action=action)
            for name, label, number in attempts
        ),
        symptoms=symptoms,
        **_COMMON,
    )


class BrightStages:
    """Bright: accepted. Dark: doubted, and accepted after restoration. Black: restoring fails.

    White fails the whole batch that it is in. ``batches`` tells the sizes of what was computed.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []

    def first(self, images: torch.Tensor) -> list[Any]:
        self.batches.append(("first", len(images)))
        if bool((images.flatten(1).mean(dim=1) == 1).any()):
            raise RuntimeError("white")
        return [self._look(image) for image in images]

    def _look(self, image: torch.Tensor) -> Judged | Doubted:
        mean = float(image.mean())
        if mean > 0.5:
            reason = Reason.ACCEPTED_RAW
            return Judged(decision=decision(Action.ACCEPT, reason, 0.95, [(None, 1, 0.97)]))
        seen = ("under-exposed, mean about 0.2",)
        abstained = decision(Action.ABSTAIN, Reason.STILL_UNRELIABLE, 0.4, [(None, 0, 0.3)], seen)
        return Doubted(
            image=image,
            seed=1,
            draw=0.9999,
            look=None,  # type: ignore[arg-type]
            raw=0.3,
            restorer="exposure",
            symptoms=seen,
            unrestored=Judged(decision=abstained),
        )

    def second(self, doubted: Sequence[Doubted]) -> list[Judged]:
        self.batches.append(("second", len(doubted)))
        if any(float(each.image.mean()) == 0 for each in doubted):
            raise RuntimeError("black")
        reason = Reason.ACCEPTED_AFTER_RESTORATION
        attempts = [(None, 0, 0.3), ("exposure", 0, 0.9)]
        accepted = decision(Action.ACCEPT, reason, 0.85, attempts, doubted[0].symptoms)
        return [Judged(decision=accepted) for _ in doubted]

    def labels(self, images: torch.Tensor) -> list[int]:
        return [0] * len(images)


@pytest.fixture
def stages() -> BrightStages:
    return BrightStages()


@pytest.fixture
def facts() -> Facts:
    return Facts(
        class_names=CLASSES,
        image_size=(4, 4),
        gatekeeper="9.9",
        bundle="b" * 64,
        classifier="fake",
        certificate={"certified": True, "target_risk": 0.05, "confidence_level": 0.95,
                     "reason": None},
    )  # fmt: skip


def encoded(grey: int, size: tuple[int, int] = (4, 4)) -> bytes:
    out = BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), grey, dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def png() -> Callable[..., bytes]:
    return encoded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """bright, dark, white (poison), broken, black, bright: six images, in this order."""
    where = tmp_path / "images"
    where.mkdir()
    for name, grey in (("a", 200), ("b", 50), ("c", 255), ("e", 0), ("f", 180)):
        (where / f"{name}.png").write_bytes(encoded(grey))
    (where / "d.png").write_bytes(b"no image at all")
    return where
