"""A small residual U-Net: it predicts what to add to an image, and begins by adding nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatekeeper.errors import InputError

_SLOPE = 0.2


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """Widths of the U-Net.

    Attributes:
        widths: Channels of each level, finest first; each further level halves the image. The
            paper's network is (64, 128, 256, 512), 8,559,171 parameters; the default has
            1,205,211, which are 4.8 MB.

    Raises:
        InputError: there is no level, or a width is below 1.
    """

    widths: tuple[int, ...] = (24, 48, 96, 192)

    def __post_init__(self) -> None:
        """Refuse widths of which no network can be built."""
        if not self.widths or min(self.widths) < 1:
            raise InputError(
                f"expected at least one width, each 1 or more, got {self.widths}: one per level"
            )

    @property
    def stride(self) -> int:
        """How far the coarsest level is reduced; inputs are padded to a multiple of it."""
        return int(2 ** (len(self.widths) - 1))

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"widths": list(asdict(self)["widths"])}

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            InputError: other keys, or widths that are no list of integers.
        """
        widths = config.get("widths")
        whole = isinstance(widths, list | tuple) and all(type(width) is int for width in widths)
        if set(config) != {"widths"} or not whole:
            raise InputError(
                f"expected {{'widths': [integers]}} for a U-Net, got {dict(config)}: "
                "pass the configuration that was stored with the weights"
            )
        return cls(tuple(widths or ()))


class ResidualUNet(nn.Module):
    """Image in, residual out, both (B, 3, H, W), any height and width.

    Per level two 3x3 convolutions with LeakyReLU (slope 0.2); 2x2 means on the way down; on the
    way up bilinear doubling and a 3x3 convolution, concatenation with the same level of the way
    down, two 3x3 convolutions; a last 3x3 convolution to three channels. No normalisation and no
    dropout: a row depends on its own image only. The last convolution starts at zero, so that the
    network leaves every image as it is until it has learned better.

    Args:
        config: Widths.

    Source:
        The restoration network of Noise-DA (arXiv:2406.18516). Deviates in the smaller default
        widths and the initial weights (He et al. 2015, arXiv:1502.01852).
    """

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or UNetConfig()
        widths = self.config.widths
        self.down = nn.ModuleList(
            _pair(n_in, n_out) for n_in, n_out in zip((3, *widths[:-1]), widths, strict=True)
        )
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.lift = nn.ModuleList(nn.Conv2d(coarse, fine, 3, padding=1) for coarse, fine in steps)
        self.up = nn.ModuleList(_pair(2 * fine, fine) for _, fine in steps)
        self.head = nn.Conv2d(widths[0], 3, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # With torch's default the values fade away over the many layers.
                nn.init.kaiming_normal_(module.weight, a=_SLOPE)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.head.weight)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> what to add to it, (B, 3, H, W), unbounded.

        Sizes that are no multiple of the stride are padded by repeating the last row and column.
        """
        height, width = images.shape[2:]
        stride = self.config.stride
        values = F.pad(images, (0, -width % stride, 0, -height % stride), mode="replicate")
        kept: list[Tensor] = []
        for position, level in enumerate(self.down):
            if position:
                values = F.avg_pool2d(values, 2)
            values = level(values)
            kept.append(values)
        kept.pop()
        for lift, level in zip(self.lift, self.up, strict=True):
            doubled = F.interpolate(values, scale_factor=2, mode="bilinear", align_corners=True)
            values = level(torch.cat([lift(doubled), kept.pop()], dim=1))
        residual: Tensor = self.head(values)
        return residual[:, :, :height, :width]


def _pair(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
        nn.Conv2d(n_out, n_out, 3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )
