from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from gatekeeper.report.content import GalleryItem
from gatekeeper.report.gallery import SHOWN_PX, card, picture


def decoded(uri: str) -> np.ndarray:
    head, body = uri.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def test_a_small_image_is_kept_bit_by_bit_and_grows_by_a_whole_factor(
    rng: np.random.Generator,
) -> None:
    image = rng.integers(0, 256, (28, 20, 3), dtype=np.uint8)
    shown = picture(image)
    np.testing.assert_array_equal(decoded(shown.uri), image)
    assert (shown.width, shown.height) == (80, 112)


def test_a_large_image_shrinks_and_keeps_its_sides() -> None:
    shown = picture(np.full((448, 224, 3), 77, dtype=np.uint8))
    assert (shown.width, shown.height) == (SHOWN_PX // 2, SHOWN_PX)
    assert decoded(shown.uri).shape == (SHOWN_PX, SHOWN_PX // 2, 3)
    assert (decoded(shown.uri) == 77).all()


@pytest.mark.parametrize(
    ("truth", "action", "expected"),
    [
        ("Sneaker", "accept", "right"),
        ("Trouser", "accept", "wrong"),
        ("Sneaker", "abstain", "abstained"),
    ],
)
def test_outcome(
    make_item: Callable[..., GalleryItem], truth: str, action: str, expected: str
) -> None:
    item = make_item()
    shown = card(make_item(truth=truth, decision={**item.decision, "action": action}))
    assert shown.outcome == expected
    assert shown.title == "gaussian, severity 4"
    assert [attempt["reliability"] for attempt in shown.attempts] == [0.31, 0.971]


def test_a_clean_image_that_was_not_restored(make_item: Callable[..., GalleryItem]) -> None:
    shown = card(make_item(corruption=None, severity=None, restored=None))
    assert shown.title == "clean"
    assert shown.restored is None


def test_the_restorer_named_is_the_one_whose_answer_counts(
    make_item: Callable[..., GalleryItem],
) -> None:
    assert card(make_item()).restorer == "autoencoder"
    attempts = [
        {"restorer": None, "class_name": "Trouser", "reliability": 0.9},
        {"restorer": "median", "class_name": "Sneaker", "reliability": 0.6},
        {"restorer": "unet", "class_name": "Trouser", "reliability": 0.4},
    ]
    decision = {**make_item().decision, "action": "abstain", "attempts": attempts}
    assert card(make_item(decision=decision)).restorer == "median"
    decision["attempts"] = attempts[:1]
    assert card(make_item(decision=decision, restored=None)).restorer == ""
