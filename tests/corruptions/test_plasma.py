from __future__ import annotations

import numpy as np
import torch

from gatekeeper.corruptions.plasma import plasma
from gatekeeper.corruptions.randomness import uniform


def by_hand(draws: np.ndarray, decay: float) -> np.ndarray:
    """Diamond-square on a 4 × 4 torus, point by point."""
    field, strength, step, side = np.zeros((4, 4)), 1.0, 4, 4
    while step >= 2:
        half = step // 2
        middles = [(y + half, x + half) for y in range(0, side, step) for x in range(0, side, step)]
        for y, x in middles:
            corners = [(y + a, x + b) for a in (-half, half) for b in (-half, half)]
            total = sum(field[a % side, b % side] for a, b in corners)
            field[y, x] = total / 4 + strength * draws[y, x]
        edges = [
            (y, x)
            for y in range(0, side, half)
            for x in range(0, side, half)
            if (y // half + x // half) % 2
        ]
        for y, x in edges:
            corners = [(y - half, x), (y + half, x), (y, x - half), (y, x + half)]
            total = sum(field[a % side, b % side] for a, b in corners)
            field[y, x] = total / 4 + strength * draws[y, x]
        strength /= decay**2
        step = half
    return (field - field.min()) / (field.max() - field.min())


def test_equals_the_construction_point_by_point() -> None:
    seeds, decay = np.array([3, 8]), torch.tensor([1.5, 3.0], dtype=torch.float64)
    draws = 2 * uniform(seeds, 16).reshape(2, 4, 4).double().numpy() - 1
    field = plasma(seeds, 4, 3, decay)
    for row in range(2):
        expected = by_hand(draws[row], decay[row].item())[:, :3]
        np.testing.assert_allclose(field[row].numpy(), expected, atol=1e-5)


def test_fills_zero_to_one_and_larger_decay_is_smoother() -> None:
    seeds = np.arange(10)
    rough, smooth = (
        plasma(seeds, 64, 64, torch.full((10,), decay, dtype=torch.float64)) for decay in (1.3, 3.0)
    )
    for field in (rough, smooth):
        torch.testing.assert_close(field.amin(dim=(1, 2)), torch.zeros(10))
        torch.testing.assert_close(field.amax(dim=(1, 2)), torch.ones(10))
    steps = [field.diff(dim=2).abs().mean(dim=(1, 2)) for field in (rough, smooth)]
    assert (steps[0] > 2 * steps[1]).all()
