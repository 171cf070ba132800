from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from gatekeeper.corruptions.noise import GaussianNoise, ImpulseNoise, PeriodicNoise, SpeckleNoise
from tests.contracts.corruption import CorruptionContract

SEEDS = np.arange(40) * 101 + 5
GREYS = torch.tensor([0.4, 0.5, 0.6])[None, :, None, None]  # three channels, three draws


def flat(n: int = 40, side: int = 40) -> torch.Tensor:
    return GREYS.expand(n, 3, side, side).contiguous()


def one_level(level: float, n: int = 40) -> torch.Tensor:
    return torch.full((n, 1, 1, 1), level)


class TestGaussianNoise(CorruptionContract):
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


class TestImpulseNoise(CorruptionContract):
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


class TestSpeckleNoise(CorruptionContract):
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


class TestPeriodicNoise(CorruptionContract):
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
