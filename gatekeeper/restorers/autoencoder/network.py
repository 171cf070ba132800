"""The skip autoencoder of system 3: five levels of skips, sigmoid output, small widths."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatekeeper.errors import InputError

STRIDE = 16
"""The network halves the image four times; other sizes are padded by mirroring."""


@dataclass(frozen=True, slots=True)
class AutoencoderConfig:
    """Widths of the skip autoencoder; the default is a quarter of the published small one.

    Attributes:
        encoder: Channels of the six encoder blocks.
        decoder: Channels of the three decoder convolutions.
        dropout: Share of activations dropped in training, in [0, 1) (paper: 0.2 and 0.15; at a
            quarter of its widths there is nothing to spare).
        transposed: Channels of the four transposed convolutions, from the coarsest on; None takes
            the last encoder's, then the second, third and third decoder's, as the small variant.
    """

    encoder: tuple[int, int, int, int, int, int] = (16, 16, 32, 32, 64, 128)
    decoder: tuple[int, int, int] = (64, 32, 16)
    dropout: float = 0.0
    # Not in the text that identities are taken of, which was there before it; see the restorer.
    transposed: tuple[int, int, int, int] | None = field(default=None, repr=False)

    @property
    def ups(self) -> tuple[int, int, int, int]:
        """Channels of the transposed convolutions."""
        if self.transposed is not None:
            return self.transposed
        return self.encoder[5], self.decoder[1], self.decoder[2], self.decoder[2]


PUBLISHED_SMALL = AutoencoderConfig(
    encoder=(64, 64, 128, 128, 256, 512), decoder=(256, 128, 64), dropout=0.2
)
"""The paper's small variant, 256 px: 7,963,267 numbers, moving means and variances included."""

PUBLISHED_LARGE = AutoencoderConfig(
    encoder=(196, 196, 256, 256, 256, 512),
    decoder=(256, 256, 196),
    dropout=0.15,
    transposed=(512, 128, 64, 64),
)
"""The large variant of the paper's pipeline, 224 px."""


def _block(conv: nn.Module, width: int, dropout: float) -> nn.Sequential:
    # Order of the paper: convolution, LeakyReLU (slope 0.3), dropout, batch normalisation.
    return nn.Sequential(conv, nn.LeakyReLU(0.3), nn.Dropout(dropout), nn.BatchNorm2d(width))


def _down(n_in: int, n_out: int, *, kernel: int, stride: int, dropout: float) -> nn.Sequential:
    conv = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2)
    return _block(conv, n_out, dropout)


def _up(n_in: int, n_out: int, *, dropout: float) -> nn.Sequential:
    conv = nn.ConvTranspose2d(n_in, n_out, 3, 2, 1, output_padding=1)
    return _block(conv, n_out, dropout)


class SkipAutoencoder(nn.Module):
    """Image in, restored image out, both (B, 3, H, W) in [0, 1].

    Encoder: k3 s1, k3 s2, k5 s2, k3 s1, k5 s2, k3 s2. Decoder: four transposed convolutions, each
    followed by the concatenation with encoder block 5, 3, 2, 1 (block 4 feeds block 5 and is no
    skip) and a convolution; the last convolution ends in a sigmoid.

    Source:
        CNN autoencoder denoising before classification (arXiv:2404.10664); the default widths are
        those of the small variant divided by four. Deviates: sizes that are no multiple of 16 are
        padded by mirroring.
    """

    def __init__(self, config: AutoencoderConfig | None = None) -> None:
        super().__init__()
        self.config = config or AutoencoderConfig()
        e1, e2, e3, e4, e5, e6 = self.config.encoder
        d1, d2, d3 = self.config.decoder
        u5, u3, u2, u1 = self.config.ups
        p = self.config.dropout
        self.enc1 = _down(3, e1, kernel=3, stride=1, dropout=p)
        self.enc2 = _down(e1, e2, kernel=3, stride=2, dropout=p)
        self.enc3 = _down(e2, e3, kernel=5, stride=2, dropout=p)
        self.enc4 = _down(e3, e4, kernel=3, stride=1, dropout=p)
        self.enc5 = _down(e4, e5, kernel=5, stride=2, dropout=p)
        self.enc6 = _down(e5, e6, kernel=3, stride=2, dropout=p)
        self.up5 = _up(e6, u5, dropout=p)
        self.dec5 = _down(u5 + e5, d1, kernel=3, stride=1, dropout=p)
        self.up3 = _up(d1, u3, dropout=p)
        self.dec3 = _down(u3 + e3, d2, kernel=5, stride=1, dropout=p)
        self.up2 = _up(d2, u2, dropout=p)
        self.dec2 = _down(u2 + e2, d3, kernel=5, stride=1, dropout=p)
        self.up1 = _up(d3, u1, dropout=p)
        self.head = nn.Conv2d(u1 + e1, 3, 3, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.orthogonal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, H, W) in (0, 1); H and W multiples of 16."""
        e1 = self.enc1(images)
        e2 = self.enc2(e1)
        e3 = self.enc3(e2)
        e5 = self.enc5(self.enc4(e3))
        d5 = self.dec5(torch.cat([self.up5(self.enc6(e5)), e5], dim=1))
        d3 = self.dec3(torch.cat([self.up3(d5), e3], dim=1))
        d2 = self.dec2(torch.cat([self.up2(d3), e2], dim=1))
        # In float32 also where the convolutions are not: bfloat16 has no 256 levels.
        return torch.sigmoid(self.head(torch.cat([self.up1(d2), e1], dim=1)).float())


def forward_any_size(network: nn.Module, images: Tensor) -> Tensor:
    """Run the network on images of any size by mirroring the right and bottom borders.

    Raises:
        InputError: a side is too small to be mirrored to the next multiple of 16.
    """
    height, width = images.shape[2:]
    down, right = -height % STRIDE, -width % STRIDE
    if down >= height or right >= width:
        raise InputError(
            f"expected images of at least {STRIDE // 2 + 1} px per side, got {height}×{width}; "
            "enlarge them first"
        )
    padded = F.pad(images, (0, right, 0, down), mode="reflect")
    restored: Tensor = network(padded)
    return restored[:, :, :height, :width]
