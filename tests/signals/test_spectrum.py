"""The log-spectrum grid: constants, waves and white noise have known spectra."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.signals import N_SCALARS, SPECTRUM_SHAPE, image_signals, log_spectrum, read_signals
from gatekeeper.signals.spectrum import spectrum_grid
from tests.signals.known import blurred, grey, normal, photos, read, stored

ROWS, COLUMNS = SPECTRUM_SHAPE
FLOOR = math.log(1e-3)


def grid(images: torch.Tensor) -> np.ndarray:
    return log_spectrum(images).reshape(len(images), ROWS, COLUMNS)


def wave(across: int, down: int, side: int = 28) -> torch.Tensor:
    """One grey image with a cosine of amplitude 0.4 about 0.5."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    phase = 2 * math.pi * (across * x + down * y) / side
    return (0.5 + 0.4 * torch.cos(phase)).expand(1, 3, side, side)


def test_a_constant_image_has_one_peak_at_zero_frequency() -> None:
    found = grid(torch.full((1, 3, 28, 28), 0.5))[0]
    place = (ROWS // 2, 0)
    np.testing.assert_allclose(found[place], math.log(0.5 * 28), rtol=1e-5)
    found[place] = FLOOR
    np.testing.assert_allclose(found, FLOOR, atol=1e-2)


@pytest.mark.parametrize(
    ("across", "down", "row"),
    [(0, 4, None), (4, 4, 9), (4, 0, 7), (4, -4, 5)],
)
def test_a_wave_is_a_peak_where_its_frequency_lies(across: int, down: int, row: int | None) -> None:
    found = grid(wave(across, down))[0]
    found[ROWS // 2, 0] = FLOOR  # the mean
    column = across * COLUMNS // 15  # 15 columns of the half spectrum of 28 px
    height = 0.5 * math.log(
        (0.2 * 28) ** 2 + 1e-6
    )  # amplitude / 2, times sides' mean by the orthonormal FFT
    peaks = {(int(r), int(c)) for r, c in np.argwhere(found > height - 1e-3)}
    if row is None:
        assert peaks == {(ROWS // 2 - 2, 0), (ROWS // 2 + 2, 0)}  # symmetric about the middle
    else:
        # 15 columns on 8 cells: neighbouring cells share a column
        assert {r for r, _ in peaks} == {row}
        assert column in {c for _, c in peaks}
    np.testing.assert_allclose(found.max(), height, rtol=1e-4)


def test_a_sinusoid_gives_two_symmetric_peaks_in_the_full_plane() -> None:
    found = grid(wave(0, 4))[0, :, 0]
    middle = ROWS // 2
    np.testing.assert_allclose(found[middle - 2], found[middle + 2], rtol=1e-5)
    assert found[middle - 2] > found[[middle - 1, middle + 1]].max() + 3


@pytest.mark.parametrize("side", [28, 64])
def test_white_noise_has_the_magnitude_of_its_sigma_at_any_size(side: int) -> None:
    noise = 0.1 * torch.randn(200, 1, side, side, generator=torch.Generator().manual_seed(1))
    magnitude = torch.fft.rfft2(noise[:, 0], norm="ortho").abs()
    assert abs(float((magnitude**2).mean().sqrt()) - 0.1) < 0.002
    found = grid((0.5 + noise).expand(-1, 3, -1, -1))
    found = np.delete(found.reshape(200, -1), (ROWS // 2) * COLUMNS, axis=1)
    # The largest of n exponential powers has about the mean of their n-th harmonic number.
    per_cell = max(1, side * (side // 2 + 1) // (ROWS * COLUMNS))
    expected = 0.5 * math.log(sum(1 / k for k in range(1, per_cell + 1))) + math.log(0.1)
    assert abs(found.mean() - expected) < 0.25


def test_periodic_noise_shows_as_peaks_that_white_noise_has_not() -> None:
    images = torch.full((20, 3, 28, 28), 0.5)
    seeds = np.arange(20)
    periodic = grid(CORRUPTIONS["periodic"](images, severity=3, seeds=seeds))
    white = grid(CORRUPTIONS["gaussian"](images, severity=1, seeds=seeds))
    for found in (periodic, white):
        found[:, ROWS // 2, 0] = FLOOR

    def contrast(found: np.ndarray) -> np.ndarray:
        rows = found.reshape(20, -1)
        return rows.max(axis=1) - np.median(rows, axis=1)

    assert contrast(periodic).min() > contrast(white).max()


def test_a_row_does_not_depend_on_its_batch_and_columns_follow_the_scalars() -> None:
    images = torch.rand(5, 3, 23, 31, generator=torch.Generator().manual_seed(2))
    together = log_spectrum(images)
    assert together.shape == (5, ROWS * COLUMNS)
    assert together.dtype == np.float32
    alone = np.concatenate([log_spectrum(images[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    everything = read_signals(images)
    np.testing.assert_array_equal(everything[:, :N_SCALARS], image_signals(images))
    np.testing.assert_array_equal(everything[:, N_SCALARS:], together)


def plane_wave(across: int, down: int, height: int = 48, width: int = 64) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.sin(2 * math.pi * (across * x / width + down * y / height))


def test_the_share_of_the_peak_is_a_share_of_power() -> None:
    one = grey(0.5 + 0.2 * plane_wave(7, 5))
    assert read(one, "spectrum_peak_share")[0] == pytest.approx(1.0, abs=1e-3)
    two = grey(0.5 + 0.2 * plane_wave(7, 5) + 0.1 * plane_wave(12, 3))
    assert read(two, "spectrum_peak_share")[0] == pytest.approx(0.04 / (0.04 + 0.01), rel=1e-3)


def test_the_bands_and_the_peak_of_a_wave_by_hand() -> None:
    height, width, amplitude = 48, 64, 0.2
    images = grey(0.5 + amplitude * plane_wave(20, 0))
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    power = amplitude**2 * height * width / 4  # one of the two peaks, orthonormal transform
    floor = math.log(1e-6)
    # 20 cycles in 64 px are a frequency of 0.3125: in the third band, in the ring up to 0.35.
    for low, high, name in ((0.2, 0.35, "spectrum_band_3"), (0.275, 0.35, "spectrum_peak")):
        bins = int(((radius > low) & (radius <= high)).sum())
        mean = (math.log(power) + (bins - 1) * floor) / bins
        expected = mean if name == "spectrum_band_3" else math.log(power) - mean
        assert read(images, name)[0] == pytest.approx(expected, abs=2e-3)
    for other in (1, 2, 4):
        assert read(images, f"spectrum_band_{other}")[0] == pytest.approx(floor, abs=1e-3)


def test_white_noise_fills_all_bands_alike() -> None:
    noise = grey(0.5 + 0.1 * normal(20, 64, 64))
    # The mean logarithm of an exponential power is that of its mean less Euler's constant.
    expected = math.log(0.01) - 0.5772
    for band in (1, 2, 3, 4):
        found = read(noise, f"spectrum_band_{band}")
        assert found.mean() == pytest.approx(expected, abs=0.1)


def test_noise_lifts_and_blur_lowers_the_last_band() -> None:
    clean = read(photos(), "spectrum_band_4")
    noisy = stored(photos() + 0.1 * normal(*photos().shape))
    assert (read(noisy, "spectrum_band_4") > clean).all()
    assert (read(blurred(photos(), 1.5), "spectrum_band_4") < clean).all()


@pytest.mark.parametrize("shrink", [1.6, 7.0])
def test_a_strong_wave_is_a_peak(shrink: float) -> None:
    images = photos(184 if shrink < 2 else 32, shrink)
    struck = CORRUPTIONS["periodic"](images, severity=5, seeds=np.arange(len(images)))
    for name in ("spectrum_peak", "spectrum_peak_share"):
        assert (read(struck, name) > read(images, name)).all()
    assert np.median(read(struck, "spectrum_peak_share")) > 0.4


@pytest.mark.parametrize("size", [(8, 5), (23, 16), (28, 15), (70, 41), (224, 113)])
def test_the_grid_is_torchs_adaptive_maximum(size: tuple[int, int]) -> None:
    logarithm = torch.randn(3, *size, generator=torch.Generator().manual_seed(7))
    middle = torch.fft.fftshift(logarithm, dim=1)[:, None]
    expected = 0.5 * torch.nn.functional.adaptive_max_pool2d(middle, SPECTRUM_SHAPE).flatten(1)
    np.testing.assert_array_equal(spectrum_grid(logarithm.numpy()), expected.numpy())
