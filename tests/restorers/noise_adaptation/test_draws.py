"""Draws per image: their distribution, and that neither batch nor order matters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.restorers.noise_adaptation import synthetic_noise
from gatekeeper.restorers.noise_adaptation.draws import generators, normal_images

SEEDS = np.array([5, 1, 2**61, -7])


def test_normal_images_are_standard_normal_and_independent() -> None:
    drawn = normal_images(np.arange(16), 24, 20, stream=1)
    assert drawn.shape == (16, 3, 24, 20)
    assert drawn.dtype == torch.float32
    n = drawn.numel()
    assert abs(drawn.mean().item()) < 4 / np.sqrt(n)
    assert drawn.var().item() == pytest.approx(1.0, abs=4 * np.sqrt(2 / n))
    flat = drawn.flatten(1).numpy()
    correlations = np.corrcoef(flat) - np.eye(16)
    assert np.abs(correlations).max() < 5 / np.sqrt(flat.shape[1])


def test_a_row_does_not_depend_on_its_batch_nor_on_global_state() -> None:
    torch.manual_seed(0)
    together = normal_images(SEEDS, 4, 4, stream=1)
    assert torch.equal(normal_images(SEEDS[[2, 0]], 4, 4, stream=1), together[[2, 0]])
    assert not torch.equal(normal_images(SEEDS, 4, 4, stream=2), together)
    streams = [[g.random() for g in generators(SEEDS, stream)] for stream in range(3)]
    assert len(np.unique(streams)) == 12


def test_synthetic_noise_is_white_and_of_all_strengths_up_to_the_highest() -> None:
    grey = torch.full((200, 3, 16, 16), 0.5)
    seeds = np.arange(200)
    noisy = synthetic_noise(grey, seeds, highest_sigma=0.12)  # so weak that nothing is cut
    sigma = (noisy - grey).flatten(1).std(dim=1).numpy()
    assert sigma.max() < 0.13
    assert sigma.mean() == pytest.approx(0.06, abs=0.008)
    assert np.histogram(sigma, bins=4, range=(0, 0.12))[0].min() > 25
    residual = (noisy - grey)[sigma > 0.06]
    neighbours = (residual[..., 1:] * residual[..., :-1]).mean() / residual.square().mean()
    assert abs(neighbours.item()) < 0.02


def test_synthetic_noise_keeps_the_range_and_the_input() -> None:
    images = torch.cat([torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)])
    before = images.clone()
    noisy = synthetic_noise(images, SEEDS)
    assert torch.equal(images, before)
    assert noisy.min() >= 0
    assert noisy.max() <= 1
    assert torch.equal(synthetic_noise(images[1:2], SEEDS[1:2]), noisy[1:2])
    assert torch.equal(synthetic_noise(images, SEEDS, highest_sigma=0.0), images)
