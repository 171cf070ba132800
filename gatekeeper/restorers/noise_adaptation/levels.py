"""How much noise the diffusion network is shown: a continuous level instead of numbered steps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.types import FloatArray

N_LEVELS = 1000
_FIRST_BETA, _LAST_BETA = 1e-6, 1e-2


def signal_shares() -> FloatArray:
    """gamma, the share of the clean image's variance that is left after each step, shape (1000,).

    The running product of 1 - beta, beta rising linearly from 1e-6 to 1e-2: from 0.999999 down to
    0.0066.

    Source:
        Noise-DA (arXiv:2406.18516).
    """
    return np.cumprod(1.0 - np.linspace(_FIRST_BETA, _LAST_BETA, N_LEVELS))


def check_levels(levels: tuple[int, int]) -> None:
    """Refuse a range of steps that is none.

    Raises:
        InputError: not 1 <= first <= last <= 999.
    """
    first, last = levels
    if not 1 <= first <= last < N_LEVELS:
        raise InputError(
            f"expected noise levels from 1 to {N_LEVELS - 1}, first to last, got {levels}: "
            "(1, 999) is the full range"
        )


def drawn_shares(
    draws: list[np.random.Generator], levels: tuple[int, int] = (1, N_LEVELS - 1)
) -> Tensor:
    """One gamma per image, shape (B,): anywhere between a step of the range and the one before.

    Args:
        draws: One random generator per image.
        levels: First and last step, both included.
    """
    gamma = signal_shares()
    drawn = []
    for draw in draws:
        step = int(draw.integers(levels[0], levels[1] + 1))
        drawn.append(gamma[step - 1] + draw.random() * (gamma[step] - gamma[step - 1]))
    return torch.tensor(drawn, dtype=torch.float32)


def noised(clean: Tensor, noise: Tensor, gamma: Tensor) -> Tensor:
    """sqrt(gamma) · clean + sqrt(1 - gamma) · noise, one gamma (B,) per image."""
    share = gamma.reshape(-1, 1, 1, 1)
    return share.sqrt() * clean + (1.0 - share).sqrt() * noise
