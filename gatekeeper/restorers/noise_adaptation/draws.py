"""Random numbers of a training step, for each image from its own seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gatekeeper.types import IntArray

_WORD = 2**64


def generators(seeds: IntArray, stream: int) -> list[np.random.Generator]:
    """One generator per seed, the same whatever the batch; each stream is independent."""
    return [np.random.default_rng([int(seed) % _WORD, stream]) for seed in seeds]


def normal_images(seeds: IntArray, height: int, width: int, *, stream: int) -> Tensor:
    """Standard normal images, shape (B, 3, H, W), float32, on the CPU."""
    shape = (3, height, width)
    drawn = [g.standard_normal(shape, dtype=np.float32) for g in generators(seeds, stream)]
    return torch.from_numpy(np.stack(drawn))


def synthetic_noise(images: Tensor, seeds: IntArray, *, highest_sigma: float = 75 / 255) -> Tensor:
    """White Gaussian noise of a strength that is drawn per image, cut to [0, 1].

    Args:
        images: Clean, shape (B, 3, H, W), in [0, 1].
        seeds: Shape (B,).
        highest_sigma: Strengths are uniform between 0 and this.

    Returns:
        The same shape and range; what ``TrainingBatch.degraded`` is in the paper.

    Source:
        Noise-DA (arXiv:2406.18516): sigma between 0 and 75 of 255. Deviates in the cut.
    """
    strengths = [g.uniform(0.0, highest_sigma) for g in generators(seeds, _STRENGTH)]
    sigma = torch.tensor(strengths, dtype=torch.float32, device=images.device)
    noise = normal_images(seeds, images.shape[2], images.shape[3], stream=_NOISE)
    return (images + sigma.reshape(-1, 1, 1, 1) * noise.to(images.device)).clamp(0.0, 1.0)


_STRENGTH, _NOISE = 11, 12
