"""The peers of ResShift: the diffusion's algebra, oracles, masks, resuming."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.resshift_peers import EpsilonDiffusion, OnePass, Peer, cosine_kept
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.resshift import ResShiftOptions, SwinUNetConfig
from gatekeeper.restorers.resshift.draws import normal_noise

TINY = SwinUNetConfig(width=4, groups=2, swin_width=4, head_width=2, window=2)
OPTIONS = ResShiftOptions(steps=10, learning_rate=1e-2, ema_decay=0.9)
CLEAN = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
SEEDS = np.arange(3)


def batch(step: int = 0) -> TrainingBatch:
    mask = torch.ones(3, 1, 8, 8)
    mask[:, :, 2:4, 2:4] = 0
    return TrainingBatch(
        clean=CLEAN, degraded=CLEAN.flip(0), labels=None, seeds=SEEDS + 10 * step, mask=mask
    )


def peers() -> list[Peer]:
    return [
        OnePass(TINY, OPTIONS, mask=True),
        EpsilonDiffusion(TINY, OPTIONS, mask=True, n_steps=4),
    ]


def test_the_cosine_schedule_by_hand() -> None:
    kept = cosine_kept(2)
    half = math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) ** 2
    begin = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    assert kept == pytest.approx([1.0, half / begin, half / begin * 1e-3])


@pytest.mark.parametrize("n_steps", [1, 4, 15])
def test_an_oracle_of_the_noise_gives_the_clean_image(n_steps: int) -> None:
    made = EpsilonDiffusion(TINY, OPTIONS, mask=False, n_steps=n_steps)
    calls = []

    def oracle(_: nn.Module, given: tuple[Tensor, ...], _output: Tensor) -> Tensor:
        kept = made.kept[int(given[2][0]) + 1]
        calls.append(int(given[2][0]))
        return (given[0] - math.sqrt(kept) * (2 * CLEAN - 1)) / math.sqrt(1 - kept)

    made._trained.register_forward_hook(oracle)
    found = made.restore(CLEAN.flip(0), seeds=SEEDS)
    torch.testing.assert_close(found, CLEAN, rtol=0, atol=1e-3)
    assert calls == list(reversed(range(n_steps)))


def test_losses_of_networks_that_predict_zero() -> None:
    one, diffusion = peers()
    shown = batch()
    left = 2 * (shown.degraded * shown.mask - CLEAN)
    assert one.step(shown) == pytest.approx(float(left.square().mean()), rel=1e-5)
    noise = normal_noise(SEEDS, (3, 8, 8), stream=8002)
    assert diffusion.step(batch()) == pytest.approx(float(noise.square().mean()), rel=1e-5)


def test_sampling_starts_from_noise_alone() -> None:
    made, seen = EpsilonDiffusion(TINY, OPTIONS, mask=False, n_steps=4), []
    made._trained.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    made.restore(CLEAN, seeds=SEEDS)
    assert torch.equal(seen[0], normal_noise(SEEDS, (3, 8, 8), stream=0))


def test_known_pixels_are_kept_and_any_size_is_restored() -> None:
    images = torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 1, 7, 9)
    mask[..., :3] = 0
    for made in peers():
        found = made.restore(images, seeds=SEEDS[:2], mask=mask)
        assert torch.equal(found[..., 3:], images[..., 3:])
        assert not torch.equal(found[..., :3], images[..., :3])
        assert made.restore(images, seeds=SEEDS[:2]).shape == images.shape


def test_a_resumed_training_goes_on_bit_by_bit() -> None:
    for straight, before, again in zip(peers(), peers(), peers(), strict=True):
        for step in range(4):
            straight.step(batch(step))
        for step in range(2):
            before.step(batch(step))
        again.load_state(before.state())
        for step in range(2, 4):
            again.step(batch(step))
        assert again.steps_done == 4
        expected, found = straight.state(), again.state()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
