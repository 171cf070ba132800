"""Noise of each image from its own seed: the same in any batch, on any device, in any tile."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gatekeeper.types import IntArray

_WORD = 2**64


def generators(seeds: IntArray, stream: int) -> list[np.random.Generator]:
    """One generator per seed, shape (B,); streams from 0 are independent of one another."""
    return [np.random.default_rng([int(seed) % _WORD, stream]) for seed in seeds]


def normal_noise(
    seeds: IntArray, shape: tuple[int, int, int], *, stream: int, grey: Tensor | None = None
) -> Tensor:
    """Standard normal draws, shape (B, C, H, W), float32, on the CPU.

    Args:
        seeds: Shape (B,).
        shape: C, H and W.
        stream: Number of an independent stream of the same seed, from 0.
        grey: Boolean, shape (B,): rows that get one draw for all channels, as a sensor without
            colour has one; None for no such rows.
    """
    drawn = [g.standard_normal(shape, dtype=np.float32) for g in generators(seeds, stream)]
    noise = torch.from_numpy(np.stack(drawn))
    if grey is None:
        return noise
    return torch.where(grey.cpu().reshape(-1, 1, 1, 1), noise[:, :1], noise)
