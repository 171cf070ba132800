from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.corruptions.noise import (
    GaussianNoise,
    ImpulseNoise,
    PeriodicNoise,
    ShotNoise,
    SpeckleNoise,
    poisson_quantile,
)
from tests.contracts.corruption import PixelHarmContract

SEEDS = np.arange(40) * 101 + 5
GREYS = torch.tensor([0.4, 0.5, 0.6])[None, :, None, None]  # three channels, three draws


def flat(n: int = 40, side: int = 40) -> torch.Tensor:
    return GREYS.expand(n, 3, side, side).contiguous()


def one_level(level: float, n: int = 40) -> torch.Tensor:
    return torch.full((n, 1, 1, 1), level)


class TestGaussianNoise(PixelHarmContract):
    name = "gaussian"

    @pytest.mark.parametrize("sigma", GaussianNoise.levels)
    def test_mean_and_deviation(self, sigma: float) -> None:
        noise = (GaussianNoise().degrade(flat(), one_level(sigma), SEEDS) - flat()).double()
        assert abs(noise.mean()) < 4 * sigma / noise.numel() ** 0.5
        low, high = stats.chi2.interval(0.9999, noise.numel() - 1) / np.float64(noise.numel() - 1)
        assert low < noise.var() / sigma**2 < high

    def test_storing_adds_the_variance_of_rounding(self) -> None:
        stored = GaussianNoise()(flat(), severity=1, seeds=SEEDS).double() - flat().double()
        expected = 0.08**2 + 1 / (12 * 255**2)
        assert stored.var().item() == pytest.approx(expected, rel=4 * (2 / stored.numel()) ** 0.5)


class TestImpulseNoise(PixelHarmContract):
    name = "impulse"

    @pytest.mark.parametrize("share", ImpulseNoise.levels)
    def test_half_salt_half_pepper(self, share: float) -> None:
        noisy = ImpulseNoise().degrade(flat(), one_level(share), SEEDS)
        n = noisy.numel()
        low, high = stats.binom.interval(0.9999, n, share / 2)
        salt, pepper = (noisy == 1.0), (noisy == 0.0)
        assert low <= salt.sum() <= high
        assert low <= pepper.sum() <= high
        rest = ~(salt | pepper)
        assert torch.equal(noisy[rest], flat()[rest])


class TestSpeckleNoise(PixelHarmContract):
    name = "speckle"

    @pytest.mark.parametrize("level", SpeckleNoise.levels)
    def test_deviation_is_proportional_to_the_pixel(self, level: float) -> None:
        noise = (SpeckleNoise().degrade(flat(), one_level(level), SEEDS) - flat()).double()
        relative = noise / GREYS
        n = relative[:, 0].numel()
        for channel in range(3):
            assert relative[:, channel].std().item() == pytest.approx(level, rel=4 / (2 * n) ** 0.5)
            assert abs(relative[:, channel].mean()) < 4 * level / n**0.5

    def test_black_stays_black(self) -> None:
        black = torch.zeros(1, 3, 20, 20)
        assert torch.equal(SpeckleNoise()(black, severity=5, seeds=SEEDS[:1]), black)


class TestPeriodicNoise(PixelHarmContract):
    name = "periodic"

    def test_two_symmetric_peaks_at_whole_cycles_with_the_amplitude_asked_for(self) -> None:
        height, width, n = 36, 52, 400
        amplitude = 0.15
        wave = PeriodicNoise().degrade(
            torch.full((n, 3, height, width), 0.5), one_level(amplitude, n), np.arange(n)
        )
        assert torch.equal(wave, wave[:, :1].expand_as(wave))
        magnitude = np.abs(np.fft.fft2(wave[:, 0].double().numpy() - 0.5)) / (height * width)
        drawn = []
        for spectrum in magnitude:
            peaks = np.argwhere(spectrum > 1e-3)
            assert len(peaks) == 2
            (row_a, column_a), (row_b, column_b) = peaks
            assert (row_a + row_b) % height == 0
            assert (column_a + column_b) % width == 0
            np.testing.assert_allclose(spectrum[tuple(peaks.T)], amplitude / 2, atol=1e-6)
            assert column_a < width / 2 < column_b or column_b < width / 2 < column_a
            row, column = peaks[0] if column_a < width / 2 else peaks[1]
            drawn.append((row - height * (row > height / 2), column))
        down, across = np.array(drawn).T
        for cycles in (np.abs(down), across):
            counts = np.bincount(cycles, minlength=10)
            assert set(np.flatnonzero(counts)) == set(range(2, 10))
            assert stats.chisquare(counts[2:]).pvalue > 0.001
        assert 150 < (down > 0).sum() < 250

    def test_phases_are_spread_over_the_circle(self) -> None:
        wave = PeriodicNoise().degrade(
            torch.zeros(400, 3, 30, 30), one_level(1.0, 400), np.arange(400)
        )
        corner = np.arcsin(wave[:, 0, 0, 0].double().numpy().clip(-1, 1))  # uniform if the phase is
        assert stats.kstest(corner, stats.uniform(-np.pi / 2, np.pi).cdf).pvalue > 0.01


class TestPublishedGaussianNoise(PixelHarmContract):
    name = "gaussian_noise"

    def test_is_gaussian_noise_at_other_levels(self) -> None:
        published = CORRUPTIONS["gaussian_noise"](flat(3), severity=2, seeds=SEEDS[:3])
        assert torch.equal(published, GaussianNoise().at(flat(3), level=0.06, seeds=SEEDS[:3]))


class TestPublishedImpulseNoise(PixelHarmContract):
    name = "impulse_noise"


class TestPublishedSpeckleNoise(PixelHarmContract):
    name = "speckle_noise"


class TestShotNoise(PixelHarmContract):
    name = "shot_noise"

    @pytest.mark.parametrize("photons", [3.0, 12.0, 60.0, 500.0])
    def test_mean_is_the_pixel_and_variance_the_pixel_per_photon(self, photons: float) -> None:
        shot = ShotNoise().degrade(flat(), one_level(photons), SEEDS).double()
        n = shot[:, 0].numel()
        for channel, grey in enumerate((0.4, 0.5, 0.6)):
            values, variance = shot[:, channel], grey / photons
            assert abs(values.mean().item() - grey) < 4 * (variance / n) ** 0.5
            # The fourth central moment of a Poisson count of mean m is m + 3 m².
            spread = ((1 / (grey * photons) + 2) / n) ** 0.5
            assert values.var().item() == pytest.approx(variance, rel=4 * spread)

    def test_counts_are_whole(self) -> None:
        counts = ShotNoise().degrade(flat(), one_level(12.0), SEEDS) * 12
        torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-4)

    def test_black_stays_black(self) -> None:
        black = torch.zeros(1, 3, 9, 9)
        assert torch.equal(ShotNoise()(black, severity=5, seeds=SEEDS[:1]), black)


DRAWS = (torch.arange(20_000, dtype=torch.float64) + 0.5).div(20_000).float()


@pytest.mark.parametrize("mean", [0.01, 0.7, 3.0, 7.9])
def test_small_poisson_quantiles_are_exact(mean: float) -> None:
    counts = poisson_quantile(torch.full_like(DRAWS, mean), DRAWS)
    expected = stats.poisson.ppf(DRAWS.double().numpy(), np.float64(np.float32(mean)))
    # A draw within rounding of a step of the distribution may fall on either side of it.
    assert (counts.numpy() != expected).mean() < 2e-4
    assert np.abs(counts.numpy() - expected).max() <= 1


@pytest.mark.parametrize("mean", [8.0, 12.3, 60.0, 500.0])
def test_large_poisson_quantiles_are_off_by_one_in_few_draws(mean: float) -> None:
    counts = poisson_quantile(torch.full_like(DRAWS, mean), DRAWS)
    wrong = counts.numpy() - stats.poisson.ppf(DRAWS.double().numpy(), mean)
    assert np.abs(wrong).max() <= 1
    assert (wrong != 0).mean() < 0.001


def test_no_light_no_count() -> None:
    assert torch.equal(poisson_quantile(torch.zeros(9), DRAWS[:9]), torch.zeros(9))
