"""The log-spectrum grid: constants, waves and white noise have known spectra."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.signals import N_SCALARS, SPECTRUM_SHAPE, image_signals, log_spectrum, read_signals

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
    np.testing.assert_allclose(found[place], math.log(0.5 * 28 + 1e-3), rtol=1e-5)
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
    height = math.log(0.2 * 28 + 1e-3)  # amplitude / 2, times sides' mean by the orthonormal FFT
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
