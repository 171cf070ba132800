from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from gatekeeper.corruptions.tone import Brightness, Contrast, Dark, Saturate
from tests.contracts.corruption import CorruptionContract, PixelHarmContract

SEED = np.array([1])
ALL_256 = (torch.arange(256) / 255).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
CODES = np.arange(256).reshape(16, 16)


class TestDark(PixelHarmContract):
    name = "dark"

    @pytest.mark.parametrize(
        ("severity", "factor"), list(enumerate((0.7, 0.5, 0.35, 0.25, 0.15), 1))
    )
    def test_every_code_times_the_factor(self, severity: int, factor: float) -> None:
        dark = Dark()(ALL_256, severity=severity, seeds=SEED)[0, 0].double().numpy() * 255
        # 0.5 + 1e-4: a code that lands half-way may round either way in float32.
        assert np.abs(dark - CODES * factor).max() <= 0.5 + 1e-4
        assert dark[-1, -1] == pytest.approx(round(255 * factor), abs=1e-4)


class TestContrast(PixelHarmContract):
    name = "contrast"

    @pytest.mark.parametrize(
        ("severity", "factor"), list(enumerate((0.7, 0.5, 0.35, 0.25, 0.15), 1))
    )
    def test_distance_from_the_mean_times_the_factor(self, severity: int, factor: float) -> None:
        grey = Contrast()(ALL_256, severity=severity, seeds=SEED)[0, 0].double().numpy() * 255
        assert np.abs(grey - (127.5 + (CODES - 127.5) * factor)).max() <= 0.5 + 1e-4

    def test_every_channel_has_its_own_mean(self, rng: np.random.Generator) -> None:
        images = rng.random((2, 3, 64, 70), dtype=np.float32) * [[[[0.2]], [[0.6]], [[1.0]]]]
        images = images.astype(np.float32)
        mean = images.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
        got = Contrast()(torch.from_numpy(images), severity=1, seeds=np.arange(2)).numpy()
        assert np.abs(got - (mean + 0.4 * (images - mean))).max() <= 0.5 / 255 + 1e-5


def hsv(rng: np.random.Generator) -> tuple[np.ndarray, torch.Tensor]:
    """Some coloured pixels as hue, saturation, value and as an image (1, 3, 10, 30)."""
    pixels = rng.random((300, 3))
    pixels[:5, 1] = 0  # grey
    pixels[5:8, 2] = 0  # black
    rgb = np.array([colorsys.hsv_to_rgb(*pixel) for pixel in pixels])
    return pixels, torch.from_numpy(rgb.T.reshape(1, 3, 10, 30)).float()


def rgb_of(pixels: np.ndarray) -> np.ndarray:
    return np.array([colorsys.hsv_to_rgb(*pixel) for pixel in pixels]).T.reshape(1, 3, 10, 30)


class TestBrightness(PixelHarmContract):
    name = "brightness"

    def test_adds_to_the_value_and_keeps_hue_and_saturation(self, rng: np.random.Generator) -> None:
        pixels, image = hsv(rng)
        pixels[pixels[:, 2] == 0, 1] = 0
        pixels[:, 2] = np.minimum(pixels[:, 2] + 0.3, 1)
        got = Brightness().degrade(image, torch.full((1, 1, 1, 1), 0.3), SEED)
        np.testing.assert_allclose(got.numpy(), rgb_of(pixels), atol=1e-5)


class TestSaturate(CorruptionContract):
    name = "saturate"
    growing = (3, 4, 5)  # 1 and 2 fade the colours, 3 to 5 exaggerate them

    @pytest.mark.parametrize(
        ("severity", "factor", "added"),
        [(1, 0.3, 0), (2, 0.1, 0), (3, 1.5, 0), (4, 2, 0.1), (5, 2.5, 0.2), (0.5, 0.4, 0)],
    )
    def test_scales_the_saturation(
        self, rng: np.random.Generator, severity: float, factor: float, added: float
    ) -> None:
        pixels, image = hsv(rng)
        pixels[:5, 0] = 0  # a pixel without colour has hue 0
        pixels[:, 1] = np.clip(pixels[:, 1] * factor + added, 0, 1)
        pixels[5:8, 1] = 0
        got = Saturate().degrade(image, torch.full((1, 1, 1, 1), severity), SEED)
        np.testing.assert_allclose(got.numpy(), rgb_of(pixels), atol=1e-5)

    def test_fading_and_exaggerating_do_not_mix(self, rng: np.random.Generator) -> None:
        _, image = hsv(rng)
        for between, nearer in ((2.49, 2), (2.5, 3)):
            got = Saturate().at_severity(image, severity=between, seeds=SEED)
            assert torch.equal(got, Saturate()(image, severity=nearer, seeds=SEED))
