"""Noise from an image's own seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.restorers.resshift.draws import generators, normal_noise

SEEDS = np.array([5, -7, 2**61, 5], dtype=np.int64)


def test_noise_depends_on_seed_and_stream_alone() -> None:
    together = normal_noise(SEEDS, (3, 5, 7), stream=2)
    assert together.dtype == torch.float32
    for row in range(4):
        alone = normal_noise(SEEDS[row : row + 1], (3, 5, 7), stream=2)
        assert torch.equal(together[row], alone[0])
    assert torch.equal(together[0], together[3])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(together, normal_noise(SEEDS, (3, 5, 7), stream=3))


def test_noise_is_standard_normal() -> None:
    noise = normal_noise(np.arange(40), (3, 32, 32), stream=0)
    n = noise.numel()
    assert float(noise.mean()) == pytest.approx(0.0, abs=5 / n**0.5)
    assert float(noise.var()) == pytest.approx(1.0, abs=5 * (2 / n) ** 0.5)


def test_grey_rows_get_one_draw_for_all_channels() -> None:
    grey = torch.tensor([True, False, True, False])
    colour = normal_noise(SEEDS, (3, 4, 4), stream=1)
    noise = normal_noise(SEEDS, (3, 4, 4), stream=1, grey=grey)
    assert torch.equal(noise[1::2], colour[1::2])
    assert torch.equal(noise[0::2], colour[0::2, :1].expand(-1, 3, -1, -1))


def test_one_generator_per_seed() -> None:
    first, second = (g.integers(2**40) for g in generators(np.array([1, 2]), 9))
    assert first != second
    assert [g.integers(2**40) for g in generators(np.array([2]), 9)] == [second]
