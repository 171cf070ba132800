"""The loss by hand and the ramp against the published values."""

from __future__ import annotations

import pytest
import torch

from gatekeeper.restorers.noise_adaptation.objective import (
    contrast_loss,
    diffusion_loss,
    prediction_error,
    ramp,
)


def test_the_error_is_a_mean_over_the_batch() -> None:
    noise = torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1).expand(2, 3, 2, 2)
    assert prediction_error(noise, torch.zeros_like(noise)).item() == 0.5


@pytest.mark.parametrize(
    ("error", "of_negatives", "expected"),
    [(0.2, 0.25, 0.05), (0.2, 0.2, 0.1), (0.2, 0.31, 0.0), (0.2, 9.0, 0.0), (0.5, 0.2, 0.4)],
)
def test_contrast_asks_for_a_margin_and_no_more(
    error: float, of_negatives: float, expected: float
) -> None:
    loss = contrast_loss(torch.tensor(error), torch.tensor(of_negatives), 0.1)
    assert loss.item() == pytest.approx(expected, abs=1e-7)


def test_beyond_the_margin_the_negatives_teach_nothing() -> None:
    error = torch.tensor(0.2, requires_grad=True)
    for of_negatives, expected in ((0.25, 1.0), (0.4, 0.0)):
        negatives = torch.tensor(of_negatives, requires_grad=True)
        found = torch.autograd.grad(contrast_loss(error, negatives, 0.1), [error, negatives])
        assert [g.item() for g in found] == [expected, -expected]


def test_noise_and_contrast_weigh_half_each_and_noise_alone_whole() -> None:
    error, of_negatives = torch.tensor(0.2), torch.tensor(0.25)
    assert diffusion_loss(error, of_negatives, 0.1).item() == pytest.approx((0.2 + 0.05) / 2)
    assert diffusion_loss(error, None, 0.1).item() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.0), (30, 0.049), (75, 0.111), (150, 0.170), (300, 0.1973), (5000, 0.1973)],
)
def test_the_ramp_is_the_published_one(step: int, expected: float) -> None:
    assert ramp(step, over=300, weight=0.2) == pytest.approx(expected, abs=5e-4)
    assert ramp(step, over=300, weight=0.0) == 0.0
