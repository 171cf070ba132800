"""The chain: simulated against closed forms, the posterior by Bayes' rule, parametrisations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift import PARAMETRISATIONS, Chain, Parametrisation, Schedule

SCHEDULE = Schedule.exponential(15, least_noise=0.04)


def steps(*values: int) -> Tensor:
    return torch.tensor(values)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return tuple(
        torch.rand(5, 3, 4, 6, generator=generator, dtype=torch.float64) * 2 - 1 for _ in range(2)
    )


def test_steps_one_by_one_have_the_closed_form_marginal() -> None:
    chain, n = Chain(SCHEDULE), 100_000
    generator = torch.Generator().manual_seed(0)
    x0 = torch.full((1, 1, 1, n), -0.7, dtype=torch.float64)
    y = torch.full_like(x0, 0.4)
    x_t = x0
    for t in range(1, 16):
        noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
        x_t = chain.forward_step(x_t, x0, y, steps(t), noise)
        if t not in (1, 8, 15):
            continue
        eta = SCHEDULE.etas[t]
        mean, variance = -0.7 + eta * 1.1, 4.0 * eta
        # Five standard errors of the mean and of the variance.
        assert float(x_t.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / n))
        assert float(x_t.var()) == pytest.approx(variance, abs=5 * variance * math.sqrt(2 / n))


def test_posterior_by_bayes_rule(pair: tuple[Tensor, Tensor]) -> None:
    x0, y = pair
    chain = Chain(SCHEDULE)
    x_t = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1), dtype=x0.dtype)
    for t in (2, 7, 15):
        # x_{t-1} | x0, y is N(a, p); x_t | x_{t-1} is N(x_{t-1} + b, q).
        eta, before = SCHEDULE.etas[t], SCHEDULE.etas[t - 1]
        a, p = x0 + before * (y - x0), 4.0 * before
        b, q = (eta - before) * (y - x0), 4.0 * (eta - before)
        variance = 1.0 / (1.0 / p + 1.0 / q)
        mean = variance * (a / p + (x_t - b) / q)
        found, found_variance = chain.posterior(x_t, x0, torch.full((5,), t))
        torch.testing.assert_close(found, mean, rtol=1e-10, atol=1e-10)
        assert found_variance.flatten().tolist() == pytest.approx([variance] * 5, rel=1e-10)


def test_the_first_step_returns_x0_with_no_variance(pair: tuple[Tensor, Tensor]) -> None:
    x0, x_t = pair
    mean, variance = Chain(SCHEDULE).posterior(x_t, x0, torch.ones(5, dtype=torch.int64))
    assert torch.equal(mean, x0)
    assert torch.equal(variance, torch.zeros(5, 1, 1, 1, dtype=x0.dtype))


def test_without_noise_x_t_lies_on_the_way_from_clean_to_degraded(
    pair: tuple[Tensor, Tensor],
) -> None:
    x0, y = pair
    chain = Chain(Schedule(SCHEDULE.roots, SCHEDULE.times, kappa=1e-12))
    t = steps(1, 4, 8, 12, 15)
    share = (chain.marginal(x0, y, t, torch.ones_like(x0)) - x0) / (y - x0)
    etas = torch.tensor([SCHEDULE.etas[i] for i in (1, 4, 8, 12, 15)], dtype=x0.dtype)
    torch.testing.assert_close(share, etas.reshape(-1, 1, 1, 1).expand_as(x0), rtol=0, atol=1e-8)


def test_the_start_is_the_degraded_image_and_noise(pair: tuple[Tensor, Tensor]) -> None:
    y, noise = pair
    torch.testing.assert_close(Chain(SCHEDULE).start(y, noise), y + 1.98 * noise)


@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_parametrisations_are_inverse_to_one_another(
    kind: Parametrisation, pair: tuple[Tensor, Tensor]
) -> None:
    x0, y = pair
    chain, t = Chain(SCHEDULE), steps(1, 3, 8, 14, 15)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2), dtype=x0.dtype)
    x_t = chain.marginal(x0, y, t, noise)
    for other in PARAMETRISATIONS:
        # What one network predicts is turned into x0, and that into what another would predict.
        x0_found = chain.x0_from(kind, chain.target(kind, x0, y, t, noise), x_t, y, t)
        torch.testing.assert_close(x0_found, x0, rtol=0, atol=1e-10)
        eta = torch.tensor(SCHEDULE.etas, dtype=x0.dtype)[t].reshape(-1, 1, 1, 1)
        noise_found = (x_t - x0_found - eta * (y - x0_found)) / (2.0 * eta.sqrt())
        wanted = chain.target(other, x0, y, t, noise)
        found = chain.target(other, x0_found, y, t, noise_found)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-8)


def test_targets_by_hand() -> None:
    chain = Chain(Schedule((0.5, 0.9), (0, 1), kappa=2.0))
    x0, y, n = (torch.full((1, 3, 1, 1), value) for value in (0.25, 0.75, -1.5))
    t = steps(1)
    found = {kind: float(chain.target(kind, x0, y, t, n).mean()) for kind in PARAMETRISATIONS}
    # sqrt(eta_1) is 0.5 and kappa 2, so the noise that is added is n itself.
    assert found == {"x0": 0.25, "residual": 0.5, "epsilon": -1.5, "scaled_epsilon": -1.5}
    # 0.25 + 0.25 · 0.5 - 1.5
    assert float(chain.marginal(x0, y, t, n).mean()) == -1.125


def test_only_the_scaled_noise_is_weighted() -> None:
    chain = Chain(Schedule((0.5, 0.9), (0, 1), kappa=3.0))
    like = torch.zeros(2, 3, 1, 1)
    for kind in ("x0", "residual", "epsilon"):
        assert chain.weight(kind, steps(1, 2), like).flatten().tolist() == [1.0, 1.0]
    found = chain.weight("scaled_epsilon", steps(1, 2), like).flatten().tolist()
    assert found == pytest.approx([1 / 1.5**2, 1 / 2.7**2])


def test_the_network_sees_scaled_images() -> None:
    schedule = Schedule((0.5, 0.9), (3, 7), kappa=2.0)
    ones = torch.ones(2, 3, 1, 1)
    pixels = Chain(schedule).scaled(ones, steps(1, 2))[:, 0, 0, 0]
    assert pixels.tolist() == pytest.approx([1 / 4, 1 / 6.4])
    latent = Chain(schedule, latent=True).scaled(ones, steps(1, 2))[:, 0, 0, 0]
    assert latent.tolist() == pytest.approx([1 / math.sqrt(2), 1 / math.sqrt(1 + 1.8**2)])
    assert Chain(schedule).times(steps(2, 1, 2)).tolist() == [7, 3, 7]


def test_what_cannot_be_predicted_is_refused() -> None:
    image, t = torch.zeros(1, 3, 2, 2), steps(1)
    chain = Chain(Schedule((0.5, 1.0), (0, 1)))
    with pytest.raises(InputError, match="ends below 1"):
        chain.x0_from("epsilon", image, image, image, t)
    with pytest.raises(InputError, match="one of the parametrisations"):
        chain.target("noise", image, image, t, image)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one of the parametrisations"):
        chain.x0_from("noise", image, image, image, t)  # type: ignore[arg-type]
