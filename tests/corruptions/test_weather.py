from __future__ import annotations

import numpy as np
import torch

from gatekeeper.corruptions.plasma import plasma
from gatekeeper.corruptions.weather import Fog, Frost, Snow
from tests.contracts.corruption import CorruptionContract, PixelHarmContract, noisy_images

SEEDS = np.array([1, 2])


def level(severity: float, n: int = 2) -> torch.Tensor:
    return torch.full((n, 1, 1, 1), severity)


class TestSnow(CorruptionContract):
    name = "snow"

    def test_flakes_fall_a_second_time_turned_around(self) -> None:
        black = torch.zeros(2, 3, 40, 44)
        snow = Snow().degrade(black, level(5), SEEDS) - 0.2 * 0.5  # 1 - 0.8 of the white of black
        torch.testing.assert_close(snow, snow.flip(2, 3))
        assert snow.min() > -1e-6
        assert snow.max() > 0.3

    def test_whitening_by_hand_where_no_flake_falls(self) -> None:
        colour = torch.tensor([0.2, 0.4, 0.1])[None, :, None, None].expand(2, 3, 40, 40)
        snow = Snow().degrade(colour.contiguous(), level(1), SEEDS)
        grey = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.1
        white = max(0.4, 1.5 * grey + 0.5)
        expected = 0.95 * 0.4 + 0.05 * white
        assert abs(snow[:, 1].min().item() - expected) < 1e-5


class TestFrost(CorruptionContract):
    name = "frost"

    def test_a_mixture_of_the_image_and_the_same_ice(self) -> None:
        images = noisy_images(32, 40)
        frost, ice = (Frost().degrade(x, level(5), SEEDS) for x in (images, 0 * images))
        torch.testing.assert_close(frost - ice, 0.75 * images, rtol=0, atol=1e-6)
        assert 0.1 < (ice / 0.45).mean() < 0.9
        assert (ice / 0.45).min() >= 0.1 - 1e-6
        assert (ice / 0.45).max() <= 1 + 1e-6


class TestFog(PixelHarmContract):
    name = "fog"

    def test_veil_and_rescaling_by_hand(self) -> None:
        images = noisy_images(32, 40) * 0.8
        veil = plasma(SEEDS, 32, 40, torch.full((2,), 2.0, dtype=torch.float64))[:, None]
        brightest = images.amax(dim=(1, 2, 3), keepdim=True)
        expected = (images + 1.0 * veil) * brightest / (brightest + 1.0)
        torch.testing.assert_close(Fog().degrade(images, level(4), SEEDS), expected)
