"""Building blocks that the U-Net and the autoencoder share, and the embedding of time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Normalisation, SiLU, 3×3 convolution, twice, added to what came in.

    Args:
        n_in: Channels that come in.
        n_out: Channels that go out.
        groups: Of the group normalisation; divides both.
        time_width: Of the embedded time, which scales and shifts the second normalisation; 0 for
            a block without time.
        zero: Whether the second convolution starts at zero, so that the block begins as its
            shortcut.
    """

    def __init__(
        self, n_in: int, n_out: int, *, groups: int, time_width: int = 0, zero: bool = True
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.time = nn.Linear(time_width, 2 * n_out) if time_width else None
        self.norm2 = nn.GroupNorm(groups, n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        if zero:
            zeroed(self.conv2)
        self.shortcut = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, values: Tensor, time: Tensor | None = None) -> Tensor:
        """(B, n_in, H, W) and the embedded time (B, time_width) -> (B, n_out, H, W)."""
        inner = self.norm2(self.conv1(F.silu(self.norm1(values))))
        if self.time is not None and time is not None:
            scale, shift = self.time(F.silu(time))[:, :, None, None].chunk(2, dim=1)
            inner = inner * (1.0 + scale) + shift
        added: Tensor = self.shortcut(values) + self.conv2(F.silu(inner))
        return added


class Up(nn.Module):
    """Every pixel doubled in height and width, then a 3×3 convolution of the same width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W)."""
        doubled: Tensor = self.conv(F.interpolate(values, scale_factor=2, mode="nearest"))
        return doubled


def zeroed(module: nn.Conv2d) -> nn.Conv2d:
    """The same convolution with weights and bias of zero."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


def time_embedding(times: Tensor, width: int) -> Tensor:
    """Cosines and sines of the time at frequencies from 1 down to 1 / 10 000.

    Args:
        times: Shape (B,).
        width: Even.

    Returns:
        Shape (B, width), float32: first the cosines, then the sines.

    Source:
        Vaswani et al. 2017 (arXiv:1706.03762), with the frequencies of diffusion models.
    """
    half = width // 2
    falling = torch.arange(half, dtype=torch.float32, device=times.device) / half
    angles = times.float()[:, None] * torch.exp(-math.log(10_000.0) * falling)[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)
