from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.corruptions.geometric import HorizontalShift
from tests.contracts.corruption import PixelHarmContract


class TestHorizontalShift(PixelHarmContract):
    name = "horizontal_shift"

    @pytest.mark.parametrize(("severity", "pixels"), list(enumerate((1, 2, 3, 4, 6), 1)))
    def test_rolls_to_the_right(self, rng: np.random.Generator, severity: int, pixels: int) -> None:
        codes = rng.integers(0, 256, (2, 3, 9, 11))
        images = torch.from_numpy(codes).float() / 255
        shifted = HorizontalShift()(images, severity=severity, seeds=np.arange(2))
        expected = np.roll(codes, pixels, axis=3)
        np.testing.assert_array_equal((shifted * 255).round().int().numpy(), expected)

    @pytest.mark.parametrize(
        ("level", "pixels"), [(0.0, 0), (2.4, 2), (2.6, 3), (-1.0, -1), (13.0, 13)]
    )
    def test_levels_are_rounded_to_whole_pixels_and_wrap(self, level: float, pixels: int) -> None:
        image = torch.arange(11.0).expand(1, 3, 8, 11) / 255
        shifted = HorizontalShift().at(image, level=level, seeds=np.arange(1))
        expected = np.roll(np.arange(11), pixels)
        np.testing.assert_array_equal((shifted[0, 0, 0] * 255).round().numpy(), expected)
