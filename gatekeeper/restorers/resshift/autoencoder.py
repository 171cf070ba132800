"""A small autoencoder with a codebook, for a chain that runs on latents instead of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift.blocks import ResidualBlock, Up

_COMMITMENT = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class VQConfig:
    """Size of the autoencoder.

    Attributes:
        width: Channels of the finest level (paper: 128).
        multipliers: Channels of each level, in widths; each further level halves the image
            (paper: 1, 2, 4, so that the latent is a quarter of the side).
        blocks: Residual blocks per level of the encoder, one more in the decoder (paper: 2).
        groups: Of the group normalisation; divides the channels of each level (paper: 32).
        channels: Of the latent (paper: 3).
        codes: Entries of the codebook (paper: 8192).
        attention: Whether the middle attends over the whole grid (paper: yes).

    Raises:
        InputError: a value is outside its range or does not divide.
    """

    width: int = 16
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    groups: int = 8
    channels: int = 3
    codes: int = 512
    attention: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes of which no network can be built."""
        sizes = (self.width, self.blocks, self.groups, self.channels, self.codes)
        if not self.multipliers or min(*sizes, *self.multipliers) < 1:
            raise InputError(f"expected sizes of at least 1, got {self}: enlarge them")
        if any(self.width * times % self.groups for times in self.multipliers):
            raise InputError(f"expected groups that divide the channels of each level, got {self}")

    @property
    def factor(self) -> int:
        """How many times smaller the latent is than the image, per side."""
        return int(2 ** (len(self.multipliers) - 1))


PAPER_VQ = VQConfig(
    width=128, multipliers=(1, 2, 4), blocks=2, groups=32, channels=3, codes=8192, attention=True
)


class Quantised(NamedTuple):
    """What the codebook makes of latents.

    Attributes:
        values: Nearest entries, shape of the latents; their gradient is that of the latents.
        codes: Which entries, shape (B, h, w), integers.
        loss: Distance of entries to latents and, at a quarter, of latents to entries; a scalar.
    """

    values: Tensor
    codes: Tensor
    loss: Tensor


class VQAutoencoder(nn.Module):
    """Images in [-1, 1] to latents and back.

    ``encode`` returns latents before the codebook, ``decode`` looks them up first; both on a scale
    on which latents have a spread of about 1, which :meth:`set_spread` measures.

    Args:
        config: Sizes.

    Source:
        VQ-GAN (arXiv:2012.09841) in the form of latent diffusion (arXiv:2112.10752), as ResShift
        uses it. Deviates in the measured spread.
    """

    spread: Tensor

    def __init__(self, config: VQConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VQConfig()
        self.encoder = _encoder(config)
        self.to_codes = nn.Conv2d(config.channels, config.channels, 1)
        self.codebook = nn.Embedding(config.codes, config.channels)
        nn.init.uniform_(self.codebook.weight, -1.0 / config.codes, 1.0 / config.codes)
        self.from_codes = nn.Conv2d(config.channels, config.channels, 1)
        self.decoder = _decoder(config)
        self.register_buffer("spread", torch.ones(()))

    def latent(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> latents as the codebook knows them, (B, C, h, w)."""
        encoded: Tensor = self.to_codes(self.encoder(images))
        return encoded

    def quantise(self, latents: Tensor) -> Quantised:
        """The nearest entry of the codebook for each position of the latents (B, C, h, w)."""
        with torch.autocast(latents.device.type, enabled=False):
            # In bfloat16 neighbouring entries are as far away as one another.
            latents, book = latents.float(), self.codebook.weight.float()
            flat = latents.permute(0, 2, 3, 1)
            # |a - b|² without |a|², which is the same for all entries.
            distance = book.square().sum(dim=1) - 2.0 * flat @ book.T
            codes = distance.argmin(dim=-1)
            found = F.embedding(codes, book).permute(0, 3, 1, 2)
            loss = F.mse_loss(found, latents.detach()) + _COMMITMENT * F.mse_loss(
                latents, found.detach()
            )
        # found, with the gradient of the latents.
        return Quantised(latents + (found - latents).detach(), codes, loss)

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1], sides multiples of the factor -> latents of spread 1."""
        return self.latent(images) / self.spread

    def decode(self, latents: Tensor) -> Tensor:
        """Latents of spread 1, (B, C, h, w) -> images (B, 3, H, W), about [-1, 1], not cut."""
        return self.rebuilt(self.quantise(latents * self.spread).values)

    def rebuilt(self, quantised: Tensor) -> Tensor:
        """Entries of the codebook (B, C, h, w) -> images (B, 3, H, W)."""
        images: Tensor = self.decoder(self.from_codes(quantised))
        return images

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [-1, 1] -> the same rebuilt, and the loss of the codebook."""
        quantised = self.quantise(self.latent(images))
        return self.rebuilt(quantised.values), quantised.loss

    @torch.no_grad()
    def place_codes(self, images: Tensor, generator: torch.Generator) -> None:
        """Move the codebook onto latents of these images, drawn at random.

        A codebook that begins far from all latents ends with one entry in use.
        """
        found = self.latent(images).permute(0, 2, 3, 1).reshape(-1, self.config.channels).cpu()
        rows = torch.randint(len(found), (self.config.codes,), generator=generator)
        jitter = torch.randn(self.config.codes, self.config.channels, generator=generator)
        self.codebook.weight.copy_(found[rows] + 1e-2 * found.std() * jitter)

    @torch.no_grad()
    def set_spread(self, images: Tensor) -> None:
        """Measure the spread of the latents: the standard deviation over these images."""
        self.spread.copy_(self.latent(images).std().clamp(min=1e-6))


class GlobalAttention(nn.Module):
    """Attention with one head over all positions, added to what came in."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        batch, channels, height, width = values.shape
        qkv = self.qkv(self.norm(values)).reshape(batch, 3, channels, height * width)
        query, key, value = qkv.transpose(2, 3).unbind(dim=1)
        seen = F.scaled_dot_product_attention(query, key, value)
        added: Tensor = values + self.out(seen.transpose(1, 2).reshape(values.shape))
        return added


class _Halve(nn.Module):
    """A 3×3 convolution of stride 2, padded below and to the right."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, values: Tensor) -> Tensor:
        halved: Tensor = self.conv(F.pad(values, (0, 1, 0, 1)))
        return halved


def _block(n_in: int, n_out: int, config: VQConfig) -> ResidualBlock:
    return ResidualBlock(n_in, n_out, groups=config.groups, zero=False)


def _middle(width: int, config: VQConfig) -> list[nn.Module]:
    attention = [GlobalAttention(width, config.groups)] if config.attention else []
    return [_block(width, width, config), *attention, _block(width, width, config)]


def _ending(width: int, n_out: int, config: VQConfig) -> list[nn.Module]:
    return [nn.GroupNorm(config.groups, width), nn.SiLU(), nn.Conv2d(width, n_out, 3, padding=1)]


def _encoder(config: VQConfig) -> nn.Sequential:
    widths = [config.width * times for times in config.multipliers]
    here = config.width
    parts: list[nn.Module] = [nn.Conv2d(3, here, 3, padding=1)]
    for level, width in enumerate(widths):
        for _ in range(config.blocks):
            parts.append(_block(here, width, config))
            here = width
        if level < len(widths) - 1:
            parts.append(_Halve(here))
    return nn.Sequential(*parts, *_middle(here, config), *_ending(here, config.channels, config))


def _decoder(config: VQConfig) -> nn.Sequential:
    widths = [config.width * times for times in config.multipliers]
    here = widths[-1]
    parts: list[nn.Module] = [nn.Conv2d(config.channels, here, 3, padding=1)]
    parts += _middle(here, config)
    for level in range(len(widths) - 1, -1, -1):
        for _ in range(config.blocks + 1):
            parts.append(_block(here, widths[level], config))
            here = widths[level]
        if level:
            parts.append(Up(here))
    return nn.Sequential(*parts, *_ending(here, 3, config))
