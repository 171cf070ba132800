"""The loss of the joint training: restoration, noise prediction, contrast, and their ramp."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_SLOPE = 5.0


def prediction_error(noise: Tensor, predicted: Tensor) -> Tensor:
    """Mean squared error over all pixels of the batch; a scalar, 0 is perfect."""
    return torch.mean((noise - predicted) ** 2)


def contrast_loss(error: Tensor, error_of_negatives: Tensor, margin: float) -> Tensor:
    """How far the error with exchanged residuals fails to be larger by a margin; a scalar.

    Args:
        error: Batch mean of the error under the restored images.
        error_of_negatives: Batch mean of the error under the negatives.
        margin: At least 0; the loss is 0 once the negatives are worse by this much.
    """
    return torch.relu(error - error_of_negatives + margin)


def diffusion_loss(error: Tensor, error_of_negatives: Tensor | None, margin: float) -> Tensor:
    """Noise prediction and contrast, half each; without negatives noise prediction alone."""
    if error_of_negatives is None:
        return error
    return (error + contrast_loss(error, error_of_negatives, margin)) / 2.0


def ramp(step: int, *, over: int, weight: float) -> float:
    """Weight of the diffusion loss: 0 at first, ``weight`` · 0.987 from step ``over`` on.

    Args:
        step: Steps done, from 0.
        over: Length of the ramp in steps, at least 1.
        weight: What it approaches, at least 0.

    Example:
        >>> round(ramp(75, over=300, weight=0.2), 3)
        0.111

    Source:
        Noise-DA (arXiv:2406.18516): weight 0.2 over 300 epochs. Deviates in counting steps.
    """
    share = min(step / over, 1.0)
    return weight * (2.0 / (1.0 + math.exp(-_SLOPE * share)) - 1.0)
