"""Noise of known sigma, kind and place; impulses of known share."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from gatekeeper.signals.noise import _censored_variance
from tests.signals.known import (
    blurred,
    grey,
    normal,
    photos,
    read,
    read_all,
    stored,
    turned,
    uniform,
    with_impulses,
)


def noisy(sigma: float, *, colour: bool = True, side: int = 184, seed: int = 5) -> torch.Tensor:
    images = photos(side)
    n, _, height, width = images.shape
    noise = normal(n, 3 if colour else 1, height, width, seed=seed)
    base = images if colour else images.mean(dim=1, keepdim=True)
    return stored(base + sigma * noise).expand(-1, 3, -1, -1).contiguous()


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_sigma_is_recovered_on_a_flat_field(sigma: float) -> None:
    flat = 0.5 + sigma * normal(6, 3, 160, 160)
    np.testing.assert_allclose(read(flat, "noise_sigma"), sigma, rtol=0.05)
    np.testing.assert_allclose(read(flat, "noise_luma"), sigma / np.sqrt(3), rtol=0.1)
    np.testing.assert_allclose(read(flat, "noise_chroma"), sigma, rtol=0.05)
    alike = grey(0.5 + sigma * normal(6, 160, 160))
    np.testing.assert_allclose(read(alike, "noise_sigma"), sigma, rtol=0.1)
    np.testing.assert_allclose(read(alike, "noise_luma"), sigma, rtol=0.1)
    np.testing.assert_allclose(read(alike, "noise_chroma"), 0, atol=1e-6)


def test_noise_in_one_colour_axis_only() -> None:
    noise = 0.05 * normal(4, 160, 160)
    images = torch.stack([0.5 + noise, torch.full_like(noise, 0.5), 0.5 - noise], dim=1)
    # Red and blue have 0.05, green none; the mean of the channels is free of noise.
    np.testing.assert_allclose(read(images, "noise_sigma"), 0.05 * np.sqrt(2 / 3), rtol=0.05)
    np.testing.assert_allclose(read(images, "noise_luma"), 0, atol=1e-6)


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize(("sigma", "limit"), [(10, 0.05), (20, 0.05), (30, 0.05), (50, 0.05)])
def test_sigma_of_photographs_after_clipping_and_rounding(
    sigma: int, limit: float, colour: bool
) -> None:
    found = read(noisy(sigma / 255, colour=colour), "noise_sigma")
    error = np.abs(found * 255 / sigma - 1)
    assert np.median(error) <= limit
    # Fine texture is what remains: grass and gravel are off by most at small sigma.
    assert (error <= 0.15).mean() >= 0.75


def test_sigma_of_photographs_with_little_noise() -> None:
    error = np.abs(read(noisy(5 / 255), "noise_sigma") * 255 / 5 - 1)
    assert np.median(error) <= 0.15


def test_sigma_grows_with_the_noise_in_small_images() -> None:
    levels = [read(noisy(s, side=32), "noise_sigma") for s in (0.0, 0.08, 0.16, 0.3)]
    for lower, higher in itertools.pairwise(levels):
        assert (higher > lower).all()
    np.testing.assert_allclose(levels[-1], 0.3, rtol=0.3)


def test_a_ramp_and_a_wave_are_no_noise() -> None:
    ramp = torch.linspace(0, 1, 50)[:, None] * 0.4 + torch.linspace(0, 1, 60)[None, :] * 0.6
    assert read(grey(ramp), "noise_sigma")[0] < 1e-6
    wave = 0.5 + 0.3 * torch.sin(torch.arange(160) / 16).expand(160, 160)
    assert read(grey(wave), "noise_sigma")[0] < 1e-6


def test_noise_is_told_apart_in_dark_and_bright_regions() -> None:
    image = torch.full((128, 128), 0.2)
    image[:, 64:] = 0.8
    image += normal(128, 128) * torch.where(image < 0.5, 0.02, 0.05)
    assert read(grey(image), "noise_sigma_dark")[0] == pytest.approx(0.02, rel=0.2)
    assert read(grey(image), "noise_sigma_bright")[0] == pytest.approx(0.05, rel=0.2)


def test_a_region_that_does_not_exist_has_the_noise_of_the_whole() -> None:
    dark = grey(0.2 + 0.02 * normal(64, 64))
    whole = read(dark, "noise_sigma")[0]
    assert read(dark, "noise_sigma_bright")[0] == pytest.approx(whole, rel=1e-5)
    assert read(1 - dark, "noise_sigma_dark")[0] == pytest.approx(whole, rel=1e-5)


def test_speckle_is_stronger_where_it_is_bright() -> None:
    ramp = torch.linspace(0.05, 0.95, 192).expand(6, 1, 192, 192)
    speckled = stored(ramp * (1 + 0.15 * normal(6, 3, 192, 192)))
    dark, bright = (read(speckled, f"noise_sigma_{where}") for where in ("dark", "bright"))
    assert (bright > 2 * dark).all()


@pytest.mark.parametrize(("low", "high"), [(0.1, 1e-6), (0.3, 0.02), (0.05, 0.4), (1e-6, 1e-6)])
def test_censored_variance_is_that_of_a_clipped_normal(low: float, high: float) -> None:
    a, b = stats.norm.ppf(low), stats.norm.isf(high)
    grid = np.linspace(a, b, 200_001)
    density = stats.norm.pdf(grid)
    mean = a * low + b * high + np.trapezoid(grid * density, grid)
    square = a**2 * low + b**2 * high + np.trapezoid(grid**2 * density, grid)
    found = _censored_variance(torch.tensor(low), torch.tensor(high)).item()
    assert found == pytest.approx(square - mean**2, abs=2e-3)


@pytest.mark.parametrize("mean", [0.15, 0.85])
def test_clipping_does_not_shrink_sigma(mean: float) -> None:
    flat = stored(mean + 0.15 * normal(6, 3, 160, 160))  # a sixth is clipped
    np.testing.assert_allclose(read(flat, "noise_sigma"), 0.15, rtol=0.06)


def test_smooth_noise_is_correlated_and_white_noise_is_not() -> None:
    white = normal(6, 160, 160).numpy()
    smooth = ndimage.gaussian_filter(white, (0, 1, 1))
    along_rows = ndimage.gaussian_filter(white, (0, 0, 1.5))
    values = {}
    for name, noise in (("white", white), ("smooth", smooth), ("rows", along_rows)):
        image = grey(0.5 + 0.1 * torch.from_numpy(noise / noise.std()))
        values[name] = read(image, "noise_correlation"), read(image, "noise_stripes")
    assert np.abs(values["white"][0]).max() < 0.3
    assert values["smooth"][0].min() > 0.6
    assert np.abs(values["smooth"][1]).max() < 0.2
    # Smooth along rows: change is downwards only.
    assert values["rows"][1].max() < -0.7


def test_tail_of_normal_and_of_rare_noise() -> None:
    assert np.abs(read(grey(0.5 + 0.1 * normal(6, 160, 160)), "noise_tail")).max() < 0.03
    rare = torch.where(uniform(6, 160, 160) < 0.02, 0.7, 0.5)
    assert read(grey(rare), "noise_tail").min() > 0.8


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1, 0.2])
def test_the_share_of_impulses_on_photographs(share: float) -> None:
    images = photos()[:-1]  # black pixels replaced by black are none: not on the night sky
    struck = with_impulses(images, share)
    signals = read_all(struck)
    salt, pepper = signals["salt_share"], signals["pepper_share"]
    np.testing.assert_allclose(np.median(salt), share / 2, rtol=0.2)
    np.testing.assert_allclose(np.median(pepper), share / 2, rtol=0.2)
    assert (np.abs((salt + pepper) / share - 1) <= 0.25).mean() >= 0.9


def test_photographs_and_normal_noise_have_no_impulses() -> None:
    for images in (photos(), photos(32, 7.0), noisy(0.1)):
        signals = read_all(images)
        assert (signals["salt_share"] + signals["pepper_share"] < 0.004).all()


def test_sigma_overlooks_impulses() -> None:
    before, after = read(photos(), "noise_sigma"), read(with_impulses(photos(), 0.1), "noise_sigma")
    np.testing.assert_allclose(after, before, atol=0.012)


def test_flat_tiles_and_local_contrast_by_hand() -> None:
    image = torch.full((64, 64), 0.5)
    image[:32] += 0.1 * (torch.arange(64) // 4 % 2 * 2 - 1)  # half of the tiles: ±0.1, 4 px wide
    assert read(grey(image), "flat_share")[0] == pytest.approx(0.5)
    assert read(grey(image), "local_contrast")[0] == pytest.approx(0.05, abs=1e-3)
    assert read(blurred(turned(photos(), 0), 6.0), "flat_share").mean() > 0.4
