"""Slots and negatives, and a linear diffusion network that shows what the swap is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.restorers.noise_adaptation.conditions import drawn_swaps, exchanged, in_slots
from gatekeeper.restorers.noise_adaptation.draws import generators

GAMMA, NOISE_OF_PAIR = 0.3, 0.2


def images(seed: int, n: int = 4) -> Tensor:
    return torch.rand(n, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_whole_images_change_places_row_by_row() -> None:
    one, other = images(0), images(1)
    swaps = torch.tensor([False, True, True, False])
    slots = in_slots(one, other, swaps)
    for row, swapped in enumerate(swaps.tolist()):
        first, second = (other, one) if swapped else (one, other)
        assert torch.equal(slots[row], torch.cat([first[row], second[row]]))


def test_swapping_twice_is_not_swapping() -> None:
    one, other = images(0), images(1)
    swaps = drawn_swaps(generators(np.arange(4), 2))
    once = in_slots(one, other, swaps)
    twice = in_slots(once[:, :3], once[:, 3:], swaps)
    assert torch.equal(twice, torch.cat([one, other], dim=1))


def test_half_of_the_rows_are_swapped_each_by_its_own_seed() -> None:
    n = 4000
    swaps = drawn_swaps(generators(np.arange(n), 2))
    assert abs(swaps.float().mean().item() - 0.5) < 3.3 * 0.5 / np.sqrt(n)  # 99.9 %
    alone = [drawn_swaps(generators(np.array([seed]), 2)).item() for seed in range(20)]
    assert swaps[:20].tolist() == alone
    assert 0 < sum(alone) < 20


def test_negatives_carry_the_residual_of_the_other() -> None:
    synthetic, real, of_synthetic, of_real = (images(seed) for seed in range(4))
    first, second = exchanged(synthetic, real, of_synthetic, of_real)
    assert torch.equal(first, synthetic + of_real)
    assert torch.equal(second, real + of_synthetic)


def linear_network(*, swap: bool) -> tuple[Tensor, float]:
    """Weights on (noisy image, slot A, slot B) that predict the noise best, and their error.

    One pixel, standard normal images: the paired condition is the clean image plus noise of 0.2,
    the other one has nothing to do with it.
    """
    n = 200_000
    draw = torch.Generator().manual_seed(0)
    clean, noise, rest, unrelated = torch.randn(4, n, generator=draw, dtype=torch.float64)
    noisy = np.sqrt(GAMMA) * clean + np.sqrt(1 - GAMMA) * noise
    paired = clean + NOISE_OF_PAIR * rest
    swaps = torch.arange(n) % 2 == 0
    slots = in_slots(
        paired.reshape(n, 1, 1, 1).expand(n, 3, 1, 1),
        unrelated.reshape(n, 1, 1, 1).expand(n, 3, 1, 1),
        swaps if swap else torch.zeros(n, dtype=torch.bool),
    )
    inputs = torch.stack([noisy, slots[:, 0, 0, 0], slots[:, 3, 0, 0]], dim=1)
    weights = torch.linalg.lstsq(inputs, noise[:, None]).solution[:, 0]
    return weights, float(((inputs @ weights - noise) ** 2).mean())


def gradient_of_the_real_slot(weights: Tensor) -> float:
    """Mean size of the error's derivative by the image in the slot that is not paired."""
    draw = torch.Generator().manual_seed(1)
    clean, noise, real = torch.randn(3, 500, generator=draw, dtype=torch.float64)
    real.requires_grad_()
    noisy = np.sqrt(GAMMA) * clean + np.sqrt(1 - GAMMA) * noise
    predicted = weights[0] * noisy + weights[1] * clean + weights[2] * real
    ((noise - predicted) ** 2).sum().backward()
    return float(real.grad.abs().mean())


def test_without_swap_no_gradient_reaches_the_real_image() -> None:
    weights, error = linear_network(swap=False)
    assert weights[1].item() == pytest.approx(-0.620, abs=0.005)
    assert weights[2].item() == pytest.approx(0.0, abs=0.002)
    assert error == pytest.approx(0.016, abs=0.001)
    assert gradient_of_the_real_slot(weights) < 1e-3


def test_with_swap_both_slots_weigh_the_same_and_the_real_image_has_a_gradient() -> None:
    weights, error = linear_network(swap=True)
    assert weights[1].item() == pytest.approx(-0.263, abs=0.006)
    assert weights[2].item() == pytest.approx(-0.264, abs=0.006)
    assert error == pytest.approx(0.179, abs=0.003)
    assert gradient_of_the_real_slot(weights) > 0.1
