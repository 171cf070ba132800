from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from PIL import Image
from torch import Tensor

from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.errors import InputError
from gatekeeper.signals.image import SIGNAL_NAMES, image_signals

PHOTOS = ("astronaut", "camera", "chelsea", "coffee", "coins", "moon", "rocket")
SEEDS = np.arange(len(PHOTOS)) + 40
TINY = 1e-6


def read(images: Tensor, name: str) -> np.ndarray:
    return image_signals(images)[:, SIGNAL_NAMES.index(name)]


def grey(values: Tensor) -> Tensor:
    """(B, H, W) or (H, W) -> (B, 3, H, W)."""
    return values.reshape(-1, 1, *values.shape[-2:]).expand(-1, 3, -1, -1).contiguous()


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """Seven photographs, middle 192 px, shape (7, 3, 192, 192)."""
    folder = Path(skimage.__file__).parent / "data"
    cut = []
    for name in PHOTOS:
        (path,) = [p for p in folder.iterdir() if p.stem == name]
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.asarray(image.convert("RGB")).copy())
        top, left = (pixels.shape[0] - 192) // 2, (pixels.shape[1] - 192) // 2
        cut.append(pixels[top : top + 192, left : left + 192].permute(2, 0, 1) / 255)
    return torch.stack(cut)


def along_severities(photos: Tensor, corruption: str, name: str) -> list[np.ndarray]:
    """The signal of the clean photographs, then at severities 1…5."""
    corrupted = [
        CORRUPTIONS[corruption](photos, severity=severity, seeds=SEEDS) for severity in range(1, 6)
    ]
    return [read(images, name) for images in (photos, *corrupted)]


def test_one_column_per_name(photos: Tensor) -> None:
    signals = image_signals(photos)
    assert signals.shape == (len(PHOTOS), len(SIGNAL_NAMES))
    assert signals.dtype == np.float32
    assert len(set(SIGNAL_NAMES)) == len(SIGNAL_NAMES)


def test_tone_by_hand() -> None:
    # 10×10: 7 black pixels, 90 from 0.2 to 0.65, 3 white; ranks 2 and 97 of 0…99.
    values = torch.cat([torch.zeros(7), 0.2 + 0.005 * torch.arange(90.0), torch.ones(3)])
    order = torch.randperm(100, generator=torch.Generator().manual_seed(1))
    image = grey(values[order].reshape(10, 10))
    expected = {
        "mean": (90 * 0.2 + 0.005 * 89 * 90 / 2 + 3) / 100,
        "contrast": values.double().numpy().std(ddof=1),
        "minimum": 0.0,
        "maximum": 1.0,
        "low_quantile": 0.0,
        "high_quantile": 1.0,
        "black_share": 0.07,
        "white_share": 0.03,
        "chroma": 0.0,
    }
    for name, value in expected.items():
        assert read(image, name)[0] == pytest.approx(value, abs=1e-6), name


def test_quantiles_by_hand() -> None:
    image = grey(torch.arange(201.0).repeat(8).reshape(8, 201) / 200)
    # Each of 201 values eight times: ranks 32 and 1575 of 0…1607 (2 % and 98 %).
    assert read(image, "low_quantile")[0] == pytest.approx(4 / 200, abs=1e-6)
    assert read(image, "high_quantile")[0] == pytest.approx(196 / 200, abs=1e-6)


def test_the_subsample_of_a_large_image_sees_all_columns() -> None:
    stripes = torch.zeros(512, 512)
    stripes[:, ::64] = 1.0  # 1.6 % of the pixels, in those columns that a step of 64 visits
    assert read(grey(stripes), "high_quantile")[0] == 0.0
    stripes[:, ::16] = 1.0  # 6.3 %
    assert read(grey(stripes), "high_quantile")[0] == 1.0
    assert read(grey(stripes), "low_quantile")[0] == 0.0


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_noise_sigma_is_recovered_on_a_flat_field(sigma: float) -> None:
    noisy = grey(0.5 + sigma * normal(4, 160, 160))
    np.testing.assert_allclose(read(noisy, "noise_sigma"), sigma, rtol=0.03)
    assert read(noisy, "noise_sigma_robust").mean() == pytest.approx(sigma, rel=0.03)


def test_noise_sigma_does_not_see_a_ramp() -> None:
    ramp = torch.linspace(0, 1, 50)[:, None] * 0.4 + torch.linspace(0, 1, 60)[None, :] * 0.6
    for name in ("noise_sigma", "noise_sigma_robust"):
        assert read(grey(ramp), name)[0] < 1e-6


def test_noise_is_told_apart_in_dark_and_bright_regions() -> None:
    image = torch.full((128, 128), 0.2)
    image[:, 64:] = 0.8
    image += normal(128, 128) * torch.where(image < 0.5, 0.02, 0.05)
    assert read(grey(image), "noise_sigma_dark")[0] == pytest.approx(0.02, rel=0.06)
    assert read(grey(image), "noise_sigma_bright")[0] == pytest.approx(0.05, rel=0.06)


def test_a_region_that_does_not_exist_has_no_noise() -> None:
    dark = grey(0.2 + 0.02 * normal(64, 64))
    assert read(dark, "noise_sigma_bright")[0] == 0.0
    assert read(1 - dark, "noise_sigma_dark")[0] == 0.0


def test_impulses_are_counted() -> None:
    image = torch.full((30, 40), 0.5)
    image[1::4, 1::4] = 1.0  # 8 × 10
    image[3::8, 3::8] = 0.0  # 4 × 5
    image[15, 15] = 0.59  # too weak to count
    images = grey(image)
    assert read(images, "isolated_bright_share")[0] == pytest.approx(80 / 1200)
    assert read(images, "isolated_dark_share")[0] == pytest.approx(20 / 1200)
    residual = (80 * 0.5 + 20 * 0.5 + 0.09) / 1200
    assert read(images, "median_residual")[0] == pytest.approx(residual, rel=1e-5)


def test_edges_by_hand() -> None:
    ramp = (0.01 * torch.arange(40.0)[None, :] + 0.002 * torch.arange(30.0)[:, None]).expand(30, 40)
    images = grey(ramp)
    assert read(images, "gradient_across")[0] == pytest.approx(0.01, rel=1e-4)
    assert read(images, "gradient_down")[0] == pytest.approx(0.002, rel=1e-4)
    assert read(images, "sharpness")[0] == pytest.approx(0.01 / (0.02 + 1e-3), rel=1e-4)
    assert read(images, "wrap_step_across")[0] == pytest.approx(0.39, rel=1e-4)
    assert read(images, "wrap_step_down")[0] == pytest.approx(0.058, rel=1e-4)


def wave(across: int, down: int, height: int = 48, width: int = 64) -> Tensor:
    turns = (
        across * torch.arange(width)[None, :] / width
        + down * torch.arange(height)[:, None] / height
    )
    return torch.sin(2 * torch.pi * turns)


def test_the_share_of_the_spectral_peak_is_a_share_of_power() -> None:
    one = grey(0.5 + 0.2 * wave(7, 5))
    assert read(one, "spectrum_peak_share")[0] == pytest.approx(1.0, abs=1e-4)
    two = grey(0.5 + 0.2 * wave(7, 5) + 0.1 * wave(12, 3))
    assert read(two, "spectrum_peak_share")[0] == pytest.approx(0.04 / (0.04 + 0.01), rel=1e-4)


def test_the_spectral_peak_and_bands_of_a_wave_by_hand() -> None:
    height, width, amplitude = 48, 64, 0.2
    images = grey(0.5 + amplitude * wave(20, 0))
    fy = np.fft.fftfreq(height)[:, None]
    fx = np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(fy, fx)
    power = amplitude**2 * height * width / 4  # one of the two peaks, orthonormal transform
    inner = int(((radius > 0.06) & (radius <= 0.5)).sum())
    typical = np.exp((np.log(power) + (inner - 1) * np.log(TINY)) / inner)
    expected = np.log((power + TINY) / (typical + TINY))
    assert read(images, "spectrum_peak")[0] == pytest.approx(expected, abs=1e-3)
    # 20 cycles in 64 px are a frequency of 0.3125: the third band.
    bins = int(((radius > 0.2) & (radius <= 0.35)).sum())
    third = (np.log(power) + (bins - 1) * np.log(TINY)) / bins
    assert read(images, "spectrum_band_3")[0] == pytest.approx(third, abs=1e-3)
    for other in (1, 2, 4):
        assert read(images, f"spectrum_band_{other}")[0] == pytest.approx(np.log(TINY), abs=1e-3)


@pytest.mark.parametrize(("side", "frequency"), [(8, 1 / 8), (9, 1 / 9), (10, 0.1)])
def test_the_lowest_band_of_a_small_image_holds_one_cycle(side: int, frequency: float) -> None:
    image = grey(
        0.5 + 0.2 * torch.sin(2 * torch.pi * frequency * torch.arange(side)).expand(side, side)
    )
    power = 0.2**2 * side * side / 4
    # Two of the half spectrum's bins are at one cycle down, one at one cycle across.
    expected = (np.log(power) + 2 * np.log(TINY)) / 3
    assert read(image, "spectrum_band_1")[0] == pytest.approx(expected, abs=1e-3)


def test_chroma_of_pure_red() -> None:
    red = torch.zeros(1, 3, 8, 8)
    red[:, 0] = 1.0
    assert read(red, "chroma")[0] == pytest.approx((2 / 3 + 1 / 3 + 1 / 3) / 3)


@pytest.mark.parametrize(
    ("corruption", "name", "sign"),
    [
        ("gaussian", "noise_sigma", 1),
        ("gaussian", "noise_sigma_robust", 1),
        ("gaussian", "spectrum_band_4", 1),
        ("impulse", "median_residual", 1),
        ("gaussian_blur", "spectrum_band_4", -1),
        ("gaussian_blur", "noise_sigma", -1),
        ("dark", "mean", -1),
        ("dark", "maximum", -1),
        ("dark", "high_quantile", -1),
        ("contrast", "contrast", -1),
    ],
)
def test_a_signal_follows_its_degradation_on_every_photograph(
    photos: Tensor, corruption: str, name: str, sign: int
) -> None:
    for before, after in itertools.pairwise(along_severities(photos, corruption, name)):
        assert (sign * (after - before) > 0).all()


@pytest.mark.parametrize(
    ("corruption", "name", "sign"),
    [
        ("impulse", "isolated_bright_share", 1),  # dense impulses are no longer isolated
        ("impulse", "isolated_dark_share", 1),
        ("gaussian_blur", "sharpness", -1),  # rounding to 8 bit roughens what is already smooth
    ],
)
def test_a_signal_knows_the_strongest_degradation_on_every_photograph(
    photos: Tensor, corruption: str, name: str, sign: int
) -> None:
    clean, *_, strongest = along_severities(photos, corruption, name)
    assert (sign * (strongest - clean) > 0).all()


@pytest.mark.parametrize("name", ["spectrum_peak", "spectrum_peak_share"])
def test_a_strong_wave_on_a_small_photograph_is_a_spectral_peak(photos: Tensor, name: str) -> None:
    # At 32 px two cycles are a frequency of 0.0625: just inside what the peak is sought in.
    small = torch.nn.functional.avg_pool2d(photos, 6)
    clean, *_, strongest = along_severities(small, "periodic", name)
    assert (strongest > clean).all()


def test_exposure_and_contrast_change_by_the_factor(photos: Tensor) -> None:
    for name in ("mean", "maximum", "high_quantile", "low_quantile"):
        clean, *dark = along_severities(photos, "dark", name)
        for factor, signal in zip((0.7, 0.5, 0.35, 0.25, 0.15), dark, strict=True):
            np.testing.assert_allclose(signal, clean * factor, rtol=0, atol=0.5 / 255 + 1e-6)
    clean, *flat = along_severities(photos, "contrast", "contrast")
    for factor, signal in zip((0.7, 0.5, 0.35, 0.25, 0.15), flat, strict=True):
        np.testing.assert_allclose(signal, clean * factor, rtol=0, atol=1 / 255)


def test_a_shift_shows_as_a_step_inside_and_none_at_the_border(photos: Tensor) -> None:
    ramp = (torch.arange(40.0) / 40).expand(1, 3, 30, 40)
    shifted = CORRUPTIONS["horizontal_shift"](ramp, severity=5, seeds=SEEDS[:1])
    assert read(ramp, "wrap_step_across")[0] == pytest.approx(39 / 40, abs=1e-6)
    assert read(shifted, "wrap_step_across")[0] == pytest.approx(1 / 40, abs=1 / 255)


def test_a_row_does_not_depend_on_its_batch(photos: Tensor) -> None:
    together = image_signals(photos)
    alone = np.concatenate([image_signals(photos[i : i + 1]) for i in range(len(photos))])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-5)
    np.testing.assert_allclose(image_signals(photos.flip(0))[::-1], together, rtol=0, atol=1e-5)


def test_the_input_is_untouched(photos: Tensor) -> None:
    before = photos.clone()
    image_signals(photos)
    assert torch.equal(photos, before)


@pytest.mark.parametrize("size", [(7, 8), (8, 7), (1, 100)])
def test_images_too_small_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"at least 8 px per side, got {size[0]}×{size[1]}"):
        image_signals(torch.zeros(1, 3, *size))


@pytest.mark.parametrize("make", [torch.zeros, torch.ones, lambda *shape: torch.full(shape, 0.3)])
@pytest.mark.parametrize("size", [(8, 8), (8, 31), (9, 9), (28, 28), (65, 70)])
def test_constant_images_have_finite_signals(
    make: Callable[..., Tensor], size: tuple[int, int]
) -> None:
    images = make(2, 3, *size)
    signals = dict(zip(SIGNAL_NAMES, image_signals(images)[0].tolist(), strict=True))
    level = images[0, 0, 0, 0].item()
    assert np.isfinite(list(signals.values())).all()
    for name in ("mean", "minimum", "maximum", "low_quantile", "high_quantile"):
        assert signals[name] == pytest.approx(level, abs=1e-6), name
    assert signals["black_share"] == float(level == 0)
    assert signals["white_share"] == float(level == 1)
    for band in (1, 2, 3, 4):
        assert signals[f"spectrum_band_{band}"] == pytest.approx(np.log(TINY), abs=1e-3)
    for name in SIGNAL_NAMES:
        if name.startswith(("noise", "isolated", "median", "gradient", "wrap", "sharpness")):
            assert signals[name] == pytest.approx(0, abs=1e-6), name
    # Nothing but floors: one over their sum with the floor of the typical bin.
    assert signals["spectrum_peak"] == pytest.approx(-np.log(2), abs=1e-5)
    assert signals["spectrum_peak_share"] == pytest.approx(0, abs=1e-6)
