"""The diffusion network: which noise is in an image, judging by two restored images beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatekeeper.errors import InputError

_INPUTS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserConfig:
    """Size of the diffusion network; it is thrown away after training.

    Attributes:
        width: Channels of the finest level (paper: 64).
        multipliers: Channels of each level, in widths; each further level halves the image
            (paper: 1, 2, 4, 8).
        blocks: Residual blocks per level on the way down, one more on the way up (paper: 2).
        groups: Of the group normalisation; divides the channels of each level (paper: 32).
        dropout: Share of activations dropped in training, in [0, 1) (paper: 0.2).
        head_channels: Channels per head of the attention in the middle, a divisor of the coarsest
            level's channels (paper: 32); 0 for no attention.

    Raises:
        InputError: a value is outside its range or does not divide.
    """

    width: int = 16
    multipliers: tuple[int, ...] = (1, 2, 4)
    blocks: int = 1
    groups: int = 8
    dropout: float = 0.0
    head_channels: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes of which no network can be built."""
        if not self.multipliers or min(self.width, self.blocks, self.groups, *self.multipliers) < 1:
            raise InputError(f"expected sizes of at least 1, got {self}: enlarge them")
        if any(width % self.groups for width in self.widths):
            raise InputError(
                f"expected groups that divide the widths {self.widths}, got {self.groups}"
            )
        if self.head_channels < 0 or (self.head_channels and self.widths[-1] % self.head_channels):
            raise InputError(
                f"expected head_channels that divide {self.widths[-1]}, or 0, got "
                f"{self.head_channels}"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise InputError(f"expected a dropout in [0, 1), got {self.dropout}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        return tuple(self.width * times for times in self.multipliers)


PAPER_DENOISER = DenoiserConfig(
    width=64, multipliers=(1, 2, 4, 8), blocks=2, groups=32, dropout=0.2, head_channels=32
)


class Denoiser(nn.Module):
    """Noisy image, six channels of restored images and a noise level in, predicted noise out.

    A U-Net of residual blocks: group normalisation, SiLU, 3x3 convolution, twice; the embedded
    noise level scales and shifts the second normalisation; halving and doubling happen inside
    residual blocks; attention in the middle where the configuration has it. The last convolution
    of each block and of the network starts at zero.

    Args:
        config: Sizes.

    Source:
        Noise-DA (arXiv:2406.18516), whose network is that of Dhariwal & Nichol 2021
        (arXiv:2105.05233). Deviates in embedding sqrt(gamma) instead of gamma.
    """

    def __init__(self, config: DenoiserConfig | None = None) -> None:
        super().__init__()
        self.config = config or DenoiserConfig()
        widths, n_blocks = self.config.widths, self.config.blocks
        self.embedding = nn.Sequential(
            nn.Linear(self.config.width, 4 * self.config.width),
            nn.SiLU(),
            nn.Linear(4 * self.config.width, 4 * self.config.width),
        )
        self.first = nn.Conv2d(_INPUTS, widths[0], 3, padding=1)
        here, skipped = widths[0], [widths[0]]
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            for _ in range(n_blocks):
                self.down.append(self._block(here, width))
                here = width
                skipped.append(here)
            if level < len(widths) - 1:
                self.down.append(self._block(here, here, scale="down"))
                skipped.append(here)
        self.middle = nn.ModuleList([self._block(here, here), self._block(here, here)])
        self.attention = (
            Attention(here, self.config.head_channels, self.config.groups)
            if self.config.head_channels
            else nn.Identity()
        )
        self.up = nn.ModuleList()
        self._doubles: list[bool] = []
        for level, width in reversed(list(enumerate(widths))):
            for position in range(n_blocks + 1):
                self.up.append(self._block(here + skipped.pop(), width))
                here = width
                self._doubles.append(False)
                if level and position == n_blocks:
                    self.up.append(self._block(here, here, scale="up"))
                    self._doubles.append(True)
        self.last = nn.Sequential(
            nn.GroupNorm(self.config.groups, here),
            nn.SiLU(),
            _zero(nn.Conv2d(here, 3, 3, padding=1)),
        )

    def _block(self, n_in: int, n_out: int, scale: str = "") -> ResidualBlock:
        return ResidualBlock(n_in, n_out, self.config, scale)

    def forward(
        self,
        noisy: Tensor,
        condition: Tensor,
        gamma: Tensor,
        draws: list[torch.Generator] | None = None,
    ) -> Tensor:
        """Predict the noise.

        Args:
            noisy: Shape (B, 3, H, W).
            condition: Two restored images, shape (B, 6, H, W).
            gamma: Share of the clean image's variance, shape (B,), in (0, 1).
            draws: One CPU generator per image for the dropout in training; None without dropout.

        Returns:
            Shape (B, 3, H, W).

        Raises:
            InputError: height or width is no multiple of the coarsest level's step.
        """
        step = 2 ** (len(self.config.multipliers) - 1)
        if noisy.shape[2] % step or noisy.shape[3] % step:
            raise InputError(
                f"expected sides that are multiples of {step} px, got {tuple(noisy.shape[2:])}: "
                "train on other crops"
            )
        level = self.embedding(sinusoids(gamma.sqrt(), self.config.width))
        values = self.first(torch.cat([noisy, condition], dim=1))
        skipped = [values]
        for block in self.down:
            values = block(values, level, draws)
            skipped.append(values)
        values = self.middle[0](values, level, draws)
        values = self.middle[1](self.attention(values), level, draws)
        for block, doubles in zip(self.up, self._doubles, strict=True):
            if not doubles:
                values = torch.cat([values, skipped.pop()], dim=1)
            values = block(values, level, draws)
        predicted: Tensor = self.last(values)
        return predicted


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; the noise level scales and shifts in between.

    Args:
        n_in: Channels that come in.
        n_out: Channels that go out.
        config: Groups, dropout and width of the embedding.
        scale: ``"down"`` halves the image, ``"up"`` doubles it, ``""`` leaves its size.
    """

    def __init__(self, n_in: int, n_out: int, config: DenoiserConfig, scale: str = "") -> None:
        super().__init__()
        self.scale, self.dropout = scale, config.dropout
        self.norm1 = nn.GroupNorm(_groups(config.groups, n_in), n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.film = nn.Linear(4 * config.width, 2 * n_out)
        self.norm2 = nn.GroupNorm(config.groups, n_out)
        self.conv2 = _zero(nn.Conv2d(n_out, n_out, 3, padding=1))
        self.shortcut = nn.Identity() if n_in == n_out else nn.Conv2d(n_in, n_out, 1)

    def forward(self, values: Tensor, level: Tensor, draws: list[torch.Generator] | None) -> Tensor:
        """(B, n_in, H, W) and the embedded level (B, 4 · width) -> (B, n_out, H', W')."""
        inner = self._resized(F.silu(self.norm1(values)))
        scale, shift = self.film(F.silu(level))[:, :, None, None].chunk(2, dim=1)
        inner = F.silu(self.norm2(self.conv1(inner)) * (1.0 + scale) + shift)
        if self.training and self.dropout > 0.0 and draws is not None:
            inner = inner * _kept(inner, draws, self.dropout)
        out: Tensor = self.shortcut(self._resized(values)) + self.conv2(inner)
        return out

    def _resized(self, values: Tensor) -> Tensor:
        if self.scale == "down":
            return F.avg_pool2d(values, 2)
        return F.interpolate(values, scale_factor=2) if self.scale == "up" else values


class Attention(nn.Module):
    """Every pixel looks at every other one; the result is added.

    Args:
        channels: Of the map.
        head_channels: Channels per head.
        groups: Of the normalisation.
    """

    def __init__(self, channels: int, head_channels: int, groups: int) -> None:
        super().__init__()
        self.n_heads = channels // head_channels
        self.norm = nn.GroupNorm(groups, channels)
        self.ask = nn.Conv2d(channels, 3 * channels, 1)
        self.answer = _zero(nn.Conv2d(channels, channels, 1))

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        batch, channels, height, width = values.shape
        asked = self.ask(self.norm(values)).reshape(batch, 3, self.n_heads, -1, height * width)
        query, key, value = asked.transpose(-1, -2).unbind(dim=1)
        seen = F.scaled_dot_product_attention(query, key, value)
        answer: Tensor = self.answer(seen.transpose(-1, -2).reshape(batch, channels, height, width))
        return values + answer


def sinusoids(level: Tensor, width: int) -> Tensor:
    """Cosines and sines of a level (B,) in [0, 1], shape (B, width), at frequencies 1 to 1000."""
    half = (width + 1) // 2
    frequencies = torch.logspace(0.0, 3.0, half, device=level.device)
    angles = level[:, None] * frequencies[None, :]
    return torch.cat([angles.cos(), angles.sin()], dim=1)[:, :width]


def _kept(values: Tensor, draws: list[torch.Generator], dropout: float) -> Tensor:
    masks = [torch.rand(values.shape[1:], generator=draw) >= dropout for draw in draws]
    return torch.stack(masks).to(values) / (1.0 - dropout)


def _groups(groups: int, channels: int) -> int:
    """Groups that divide the channels of two joined levels as well."""
    return math.gcd(groups, channels)


def _zero(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
