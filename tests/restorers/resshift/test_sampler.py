"""The sampler: an oracle comes back exactly, where it starts, how often it asks, bad values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.errors import BundleError
from gatekeeper.restorers.resshift import PARAMETRISATIONS, Chain, Parametrisation, Schedule, sample
from gatekeeper.restorers.resshift.draws import normal_noise

SHAPE = (3, 4, 4)


def noise_of(seeds: np.ndarray):
    return lambda stream: normal_noise(seeds, SHAPE, stream=stream)


def pictures(n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    x0 = torch.rand(n, *SHAPE, generator=generator) * 1.6 - 0.8
    return x0, x0 + 0.2 * torch.randn(x0.shape, generator=generator)


@pytest.mark.parametrize("steps", [1, 2, 4, 15])
def test_an_oracle_gives_the_clean_image_after_as_many_calls_as_steps(steps: int) -> None:
    x0, y = pictures(3)
    calls: list[list[int]] = []

    def oracle(noisy: Tensor, times: Tensor) -> Tensor:
        calls.append(times.tolist())
        return x0

    chain = Chain(Schedule.exponential(steps))
    found = sample(oracle, chain, y, noise=noise_of(np.arange(3)))
    assert torch.equal(found, x0)
    assert calls == [[t] * 3 for t in reversed(range(steps))]


@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_an_oracle_of_any_kind_gives_the_clean_image(kind: Parametrisation) -> None:
    x0, y = (image.double() for image in pictures(3))
    chain = Chain(Schedule.exponential(4))
    scale = {t: 3.0 * 2.0 * root + 1.0 for t, root in enumerate(chain.schedule.roots)}

    def oracle(noisy: Tensor, times: Tensor) -> Tensor:
        t = times + 1
        eta = chain.schedule.etas[int(t[0])]
        x_t = noisy * scale[int(times[0])]
        n = (x_t - x0 - eta * (y - x0)) / (2.0 * math.sqrt(eta))
        return chain.target(kind, x0, y, t, n)

    found = sample(
        oracle, chain, y, noise=lambda i: noise_of(np.arange(3))(i).double(), kind=kind, clip=False
    )
    torch.testing.assert_close(found, x0, rtol=0, atol=1e-9)


def test_sampling_starts_around_the_degraded_image() -> None:
    n = 4000
    y = torch.full((n, *SHAPE), 0.6)
    starts: list[Tensor] = []

    def remember(noisy: Tensor, times: Tensor) -> Tensor:
        starts.append(noisy)
        return torch.zeros_like(noisy)

    chain = Chain(Schedule.exponential(4))
    sample(remember, chain, y, noise=noise_of(np.arange(n)))
    start = starts[0] * (3 * 1.98 + 1)
    error = 1.98 / math.sqrt(start.numel())
    assert float(start.mean()) == pytest.approx(0.6, abs=5 * error)
    assert float(start.std()) == pytest.approx(1.98, abs=5 * error)


def test_every_step_but_the_last_adds_noise_of_the_posterior_and_no_draw_serves_twice() -> None:
    drawn: list[int] = []
    ones = torch.ones(1, *SHAPE)

    def noise(stream: int) -> Tensor:
        drawn.append(stream)
        return ones

    seen: list[float] = []

    def zero(noisy: Tensor, times: Tensor) -> Tensor:
        seen.append(float(noisy.mean()) * (6.0 * schedule.roots[int(times[0])] + 1.0))
        return torch.zeros_like(noisy)

    schedule = Schedule.exponential(4)
    found = sample(zero, Chain(schedule), 0.5 * ones, noise=noise)
    assert drawn == [0, 1, 2, 3]
    assert torch.equal(found, torch.zeros_like(ones))
    etas = schedule.etas
    expected = [0.5 + 1.98]
    for t in (4, 3, 2):
        spread = math.sqrt(4.0 * etas[t - 1] / etas[t] * (etas[t] - etas[t - 1]))
        expected.append(etas[t - 1] / etas[t] * expected[-1] + spread)
    assert seen == pytest.approx(expected, rel=1e-5)


def test_predictions_are_cut_for_pixels_only() -> None:
    y = torch.zeros(1, *SHAPE)
    for clip, expected in ((True, 1.0), (False, 3.0)):
        found = sample(
            lambda noisy, _: torch.full_like(noisy, 3.0),
            Chain(Schedule.exponential(2)),
            y,
            noise=noise_of(np.zeros(1, dtype=int)),
            clip=clip,
        )
        assert torch.equal(found, torch.full_like(y, expected))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_an_error_and_no_black_image(bad: float) -> None:
    def broken(noisy: Tensor, times: Tensor) -> Tensor:
        predicted = torch.zeros_like(noisy)
        if int(times[0]) == 1:
            predicted[1, 0, 2, 2] = bad
        return predicted

    with pytest.raises(BundleError, match="at step 2, got others for 1 of 3 images"):
        sample(
            broken,
            Chain(Schedule.exponential(4)),
            torch.zeros(3, *SHAPE),
            noise=noise_of(np.arange(3)),
        )
