"""What the diffusion network is told beside the noisy image: two restored images in two slots.

Without precautions it learns in which slot the image lies that belongs to the noisy one, ignores
the other slot, and the real branch learns nothing. Two devices prevent that: the slots change
places at random, and pairs with exchanged residuals serve as examples of bad restoration.

Source:
    Noise-DA (arXiv:2406.18516), "channel shuffling" and "residual swapping".
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def drawn_swaps(draws: list[np.random.Generator]) -> Tensor:
    """Whether the slots of an image change places: a fair coin per image, boolean (B,)."""
    return torch.tensor([bool(draw.random() < 0.5) for draw in draws])


def in_slots(one: Tensor, other: Tensor, swaps: Tensor) -> Tensor:
    """Two images per row in two slots of three channels, (B, 6, H, W); whole images change places.

    Args:
        one: Shape (B, 3, H, W); in the first slot unless its row is swapped.
        other: Shape (B, 3, H, W).
        swaps: Boolean, shape (B,).
    """
    rows = swaps.reshape(-1, 1, 1, 1)
    return torch.cat([torch.where(rows, other, one), torch.where(rows, one, other)], dim=1)


def exchanged(
    synthetic: Tensor, real: Tensor, residual_of_synthetic: Tensor, residual_of_real: Tensor
) -> tuple[Tensor, Tensor]:
    """Each image with the residual of the other: restored as badly as the domains differ.

    Args:
        synthetic: Synthetic noise, shape (B, 3, H, W).
        real: Noise of the camera, the same shape.
        residual_of_synthetic: What the restorer adds to the first.
        residual_of_real: What it adds to the second.
    """
    return synthetic + residual_of_real, real + residual_of_synthetic
