"""Images at the door: pixels are held to the same limits as files."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
import torch

from gatekeeper.errors import ImageError
from gatekeeper.images import DecodeLimits, fit_to
from gatekeeper.service.intake import take_file, take_pixels

LIMITS = DecodeLimits(max_pixels=100, max_side=50, max_aspect=4.0)


def test_pixels_and_their_file_are_the_same_image(image_file: Callable[..., bytes]) -> None:
    data = image_file(size=(6, 4), grey=51)
    image, facts = take_file(data, (8, 5), LIMITS)
    assert (facts.width, facts.height, facts.sha256) == (6, 4, sha256(data).hexdigest())
    pixels = np.full((4, 6, 3), 51, dtype=np.uint8)
    same, facts = take_pixels(pixels, (8, 5), LIMITS)
    assert torch.equal(image, same)
    assert (facts.width, facts.height) == (6, 4)
    assert facts.sha256 == sha256(pixels.tobytes()).hexdigest()
    floats, _ = take_pixels((pixels / 255).astype(np.float32), (8, 5), LIMITS)
    torch.testing.assert_close(floats, image)


def test_channels_and_rows_stay_in_place(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (8, 5, 3), dtype=np.uint8)
    image, _ = take_pixels(pixels, (8, 5), LIMITS)
    expected = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / 255)
    torch.testing.assert_close(image, fit_to(expected[None], (8, 5))[0])


@pytest.mark.parametrize(
    ("shape", "change", "reason"),
    [
        ((11, 10, 3), 0.0, "too_many_pixels"),
        ((51, 1, 3), 0.0, "too_many_pixels"),
        ((9, 2, 3), 0.0, "extreme_aspect"),
        ((4, 4, 3), np.nan, "out_of_range"),
        ((4, 4, 3), np.inf, "out_of_range"),
        ((4, 4, 3), -0.001, "out_of_range"),
        ((4, 4, 3), 1.001, "out_of_range"),
    ],
)
def test_pixels_that_are_refused(shape: Any, change: float, reason: str) -> None:
    pixels = np.zeros(shape, dtype=np.float32)
    pixels[0, 0, 0] = change
    with pytest.raises(ImageError, match="expected") as caught:
        take_pixels(pixels, (8, 5), LIMITS)
    assert caught.value.reason == reason
