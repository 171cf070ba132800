"""The four degradations of the ResShift benchmark."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.resshift_tasks import TASKS, degraded, training_batch
from gatekeeper.corruptions import corruption
from gatekeeper.restorers.resshift import random_masks

CLEAN = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
SEEDS = np.arange(12) * 97


def test_noise_and_blur_are_the_named_corruptions() -> None:
    for task, name in (("denoise", "gaussian_noise"), ("deblur", "gaussian_blur")):
        found, mask = degraded(task, CLEAN, SEEDS)
        assert mask is None
        assert torch.equal(found, corruption(name)(CLEAN, severity=3, seeds=SEEDS))


def test_half_the_resolution_of_what_is_flat_is_the_same() -> None:
    flat = torch.full((1, 3, 8, 8), 0.25)
    found, mask = degraded("x2", flat, SEEDS[:1])
    torch.testing.assert_close(found, flat)
    assert mask is None
    checks = torch.zeros(1, 3, 8, 8)
    checks[..., ::2, ::2] = 1.0  # finer than half the resolution: only the mean is left
    torch.testing.assert_close(degraded("x2", checks, SEEDS[:1])[0], flat)


def test_holes_are_black_and_the_rest_is_clean() -> None:
    found, mask = degraded("inpaint", CLEAN, SEEDS)
    assert torch.equal(mask, random_masks(SEEDS, 16, 16))
    assert torch.equal(found, torch.where(mask == 1, CLEAN, 0.0))


def test_a_training_batch_mixes_all_tasks_and_each_image_is_its_seeds() -> None:
    batch = training_batch(CLEAN, SEEDS)
    assert torch.equal(batch.clean, CLEAN)
    holed = (batch.mask == 0).flatten(1).any(dim=1)
    assert 0 < int(holed.sum()) < 12
    assert torch.equal(batch.degraded[holed], (CLEAN * batch.mask)[holed])
    assert all(not torch.equal(*pair) for pair in zip(batch.degraded, CLEAN, strict=True))
    alone = training_batch(CLEAN[4:5], SEEDS[4:5])
    torch.testing.assert_close(alone.degraded[0], batch.degraded[4])
    many = training_batch(CLEAN[:1].expand(400, -1, -1, -1), np.arange(400))
    share = float((many.mask == 0).flatten(1).any(dim=1).float().mean())
    assert share == pytest.approx(1 / len(TASKS), abs=0.1)
