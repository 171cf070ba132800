from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from gatekeeper.corruptions.filtering import blue_field, gaussian_blur, motion_blur, smooth_field


@pytest.mark.parametrize(("border", "mode"), [("mirror", "reflect"), ("edge", "nearest")])
def test_gaussian_blur_equals_scipy_with_a_width_per_image(
    rng: np.random.Generator, border: str, mode: str
) -> None:
    images = rng.random((4, 2, 13, 9), dtype=np.float32)
    sigmas = [0.0, 0.4, 1.1, 3.0]
    got = gaussian_blur(torch.from_numpy(images), torch.tensor(sigmas), border=border)
    for image, blurred, sigma in zip(images, got.numpy(), sigmas, strict=True):
        expected = ndimage.gaussian_filter(
            image.astype(np.float64), (0, sigma, sigma), mode=mode, truncate=4.0
        )
        np.testing.assert_allclose(blurred, expected, atol=1e-5)


@pytest.mark.parametrize(("degrees", "down", "across"), [(0, 0, 1), (90, 1, 0), (-90, -1, 0)])
def test_motion_blur_along_an_axis_equals_a_correlation(
    rng: np.random.Generator, degrees: float, down: int, across: int
) -> None:
    image = rng.random((15, 17)).astype(np.float32)
    weights = np.exp(-0.5 * (np.arange(9) / 2.5) ** 2)
    weights /= weights.sum()
    rows, columns = np.mgrid[:15, :17]
    expected = sum(
        weight * image[(rows + k * down).clip(0, 14), (columns + k * across).clip(0, 16)]
        for k, weight in enumerate(weights)
    )
    got = motion_blur(
        torch.from_numpy(image)[None, None],
        torch.tensor([4.0]),
        torch.tensor([2.5]),
        torch.tensor([math.radians(degrees)], dtype=torch.float64),
    )
    np.testing.assert_allclose(got[0, 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("sigma", [1.0, 2.4, 8.0])
def test_smoothing_a_field_equals_scipys_mirrored_blur(
    rng: np.random.Generator, sigma: float
) -> None:
    field = rng.standard_normal((1, 20, 31))
    expected = ndimage.gaussian_filter(field[0], sigma, mode="reflect", truncate=12.0)
    got = smooth_field(torch.from_numpy(field), torch.tensor([sigma]))
    # A sampled and a continuous Gaussian differ below about one pixel.
    np.testing.assert_allclose(got[0].numpy(), expected, atol=5e-3 if sigma < 2 else 1e-6)


def test_blue_fields_have_variance_one_and_power_proportional_to_frequency() -> None:
    side = 64
    white = torch.from_numpy(np.random.default_rng(4).standard_normal((80, side, side)))
    field = blue_field(white).numpy()
    assert field.var() == pytest.approx(1, rel=0.02)
    power = (np.abs(np.fft.fft2(field)) ** 2).mean(axis=0) / side**2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    low, high = (power[(frequency > a) & (frequency < 1.1 * a)].mean() for a in (0.1, 0.4))
    assert high / low == pytest.approx(4, rel=0.1)
