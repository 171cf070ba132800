"""The network: a U-Net whose attention works in shifted windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift.blocks import ResidualBlock, Up, time_embedding, zeroed
from gatekeeper.restorers.resshift.swin import SwinLayer

_EXTRACTED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SwinUNetConfig:
    """Size of the network.

    Attributes:
        width: Channels of the finest level, even (paper: 160).
        multipliers: Channels of each level, in widths; each further level halves the grid (paper:
            1, 2, 2, 4).
        blocks: Residual blocks per level on the way down, one more on the way up (paper: 2).
        groups: Of the group normalisation; divides the channels of each level and of the attention
            (paper: 32).
        swin_levels: Which levels attend after their first residual block, on both ways: ``"all"``
            as in the paper, or the ``"lowest"`` only; the middle always does.
        swin_width: Channels of the attention (paper: 192).
        swin_blocks: Blocks per layer of attention, plain and shifted in turn (paper: 2).
        head_width: Channels per head; divides ``swin_width`` (paper: 32).
        window: Side of the windows on the grid, even (paper: 8).
        mlp_ratio: Width of the perceptrons of the attention, in its widths (paper: 4).

    Raises:
        InputError: a value is outside its range or does not divide.
    """

    width: int = 24
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    groups: int = 8
    swin_levels: Literal["all", "lowest"] = "lowest"
    swin_width: int = 48
    swin_blocks: int = 2
    head_width: int = 16
    window: int = 4
    mlp_ratio: int = 4

    def __post_init__(self) -> None:
        """Refuse sizes of which no network can be built."""
        sizes = (self.width, self.blocks, self.groups, self.swin_blocks, self.mlp_ratio)
        if not self.multipliers or min(*sizes, *self.multipliers) < 1:
            raise InputError(f"expected sizes of at least 1, got {self}: enlarge them")
        if self.window < 2 or self.window % 2 or self.width % 2:
            raise InputError(
                f"expected an even window and an even width, got {self.window} and {self.width}"
            )
        if any(width % self.groups for width in (*self.widths, self.swin_width)):
            raise InputError(
                f"expected groups that divide {self.widths} and {self.swin_width}, got "
                f"{self.groups}"
            )
        if self.head_width < 1 or self.swin_width % self.head_width:
            raise InputError(
                f"expected a head_width that divides {self.swin_width}, got {self.head_width}"
            )
        if self.swin_levels not in ("all", "lowest"):
            raise InputError(f"expected swin_levels all or lowest, got {self.swin_levels!r}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        return tuple(self.width * times for times in self.multipliers)

    @property
    def stride(self) -> int:
        """Grids of any multiple of this fit the windows of every level."""
        return int(self.window * 2 ** (len(self.multipliers) - 1))

    def attends(self, level: int) -> bool:
        """Whether that level, from 0 at the finest, has attention."""
        return self.swin_levels == "all" or level == len(self.multipliers) - 1


PAPER_UNET = SwinUNetConfig(
    width=160,
    multipliers=(1, 2, 2, 4),
    blocks=2,
    groups=32,
    swin_levels="all",
    swin_width=192,
    swin_blocks=2,
    head_width=32,
    window=8,
    mlp_ratio=4,
)


class _Stage(nn.Module):
    """A residual block, and attention after it where the level has it."""

    def __init__(self, block: ResidualBlock, swin: nn.Module) -> None:
        super().__init__()
        self.block, self.swin = block, swin

    def forward(self, values: Tensor, time: Tensor) -> Tensor:
        attended: Tensor = self.swin(self.block(values, time))
        return attended


class SwinUNet(nn.Module):
    """Noisy image, degraded image and time in, prediction out.

    Args:
        config: Sizes.
        channels: Of the noisy image and of the prediction: 3, or those of the latent.
        mask: Whether the degraded image comes with a fourth channel, 1 in holes and -1 elsewhere.
        factor: How many times larger the degraded image is than the grid, a power of 2; where it
            is larger, convolutions bring it to the grid.

    Source:
        ResShift (arXiv:2307.12348) and its published network. Deviates, where the configuration
        says so, in size and in attending at the lowest level only.
    """

    def __init__(
        self,
        config: SwinUNetConfig | None = None,
        *,
        channels: int = 3,
        mask: bool = False,
        factor: int = 1,
    ) -> None:
        super().__init__()
        self.config = config = config or SwinUNetConfig()
        if factor < 1 or factor & (factor - 1):
            raise InputError(f"expected a factor that is a power of 2, got {factor}")
        self.channels, self.mask, self.factor = channels, mask, factor
        self._time_width = 4 * config.width
        self.time = nn.Sequential(
            nn.Linear(config.width, self._time_width),
            nn.SiLU(),
            nn.Linear(self._time_width, self._time_width),
        )
        self.condition, shown = _extractor(3 + int(mask), factor)
        here = config.width
        self.first = nn.Conv2d(channels + shown, here, 3, padding=1)
        skipped = [here]
        self.down = nn.ModuleList()
        self.halve = nn.ModuleList()
        lowest = len(config.widths) - 1
        for level, width in enumerate(config.widths):
            stages = nn.ModuleList()
            for position in range(config.blocks):
                stages.append(self._stage(here, width, attends=self._attends(level, position)))
                here = width
                skipped.append(here)
            self.down.append(stages)
            if level < lowest:
                self.halve.append(nn.Conv2d(here, here, 3, stride=2, padding=1))
                skipped.append(here)
        self.middle = nn.ModuleList(
            [self._stage(here, here, attends=True), self._stage(here, here, attends=False)]
        )
        self.up = nn.ModuleList()
        self.lift = nn.ModuleList()
        for level in range(lowest, -1, -1):
            width, stages = config.widths[level], nn.ModuleList()
            for position in range(config.blocks + 1):
                stages.append(
                    self._stage(here + skipped.pop(), width, attends=self._attends(level, position))
                )
                here = width
            self.up.append(stages)
            if level:
                self.lift.append(Up(here))
        self.last = nn.Sequential(
            nn.GroupNorm(config.groups, here),
            nn.SiLU(),
            zeroed(nn.Conv2d(here, channels, 3, padding=1)),
        )

    def _attends(self, level: int, position: int) -> bool:
        return position == 0 and self.config.attends(level)

    def _stage(self, n_in: int, n_out: int, *, attends: bool) -> _Stage:
        config = self.config
        block = ResidualBlock(n_in, n_out, groups=config.groups, time_width=self._time_width)
        if not attends:
            return _Stage(block, nn.Identity())
        layer = SwinLayer(
            n_out,
            inner=config.swin_width,
            blocks=config.swin_blocks,
            head_width=config.head_width,
            window=config.window,
            mlp_ratio=config.mlp_ratio,
            groups=config.groups,
        )
        return _Stage(block, layer)

    def forward(
        self, noisy: Tensor, degraded: Tensor, times: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Predict.

        Args:
            noisy: The scaled x_t, shape (B, C, h, w).
            degraded: Shape (B, 3, factor · h, factor · w), in [-1, 1]; not scaled.
            times: Shape (B,), integers from 0.
            mask: Shape (B, 1, factor · h, factor · w), 1 where known and 0 in holes; None where
                all is known.

        Returns:
            Shape (B, C, h, w).

        Raises:
            InputError: a mask is given and the network has no channel for it, or a grid does not
                fit the windows.
        """
        values = self.first(torch.cat([noisy, self.condition(self._shown(degraded, mask))], dim=1))
        time = self.time(time_embedding(times, self.config.width).to(values.dtype))
        kept = [values]
        for level, stages in enumerate(self.down):
            for stage in stages:  # type: ignore[attr-defined]
                values = stage(values, time)
                kept.append(values)
            if level < len(self.halve):
                values = self.halve[level](values)
                kept.append(values)
        for stage in self.middle:
            values = stage(values, time)
        for level, stages in enumerate(self.up):
            for stage in stages:  # type: ignore[attr-defined]
                values = stage(torch.cat([values, kept.pop()], dim=1), time)
            if level < len(self.lift):
                values = self.lift[level](values)
        predicted: Tensor = self.last(values)
        return predicted

    def _shown(self, degraded: Tensor, mask: Tensor | None) -> Tensor:
        if not self.mask:
            if mask is not None:
                raise InputError(
                    "expected no mask, because the network was built without a channel for one, "
                    "got a mask: leave out the mask, or use a network with the channel"
                )
            return degraded
        known = torch.ones_like(degraded[:, :1]) if mask is None else mask.to(degraded.dtype)
        return torch.cat([degraded, 1.0 - 2.0 * known], dim=1)


def _extractor(n_in: int, factor: int) -> tuple[nn.Module, int]:
    """What brings the condition to the grid, and how many channels it gives."""
    stages: list[nn.Module] = []
    width = _EXTRACTED
    while factor > 1:
        stages += [
            nn.Conv2d(n_in, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        ]
        n_in = width = 2 * width
        factor //= 2
    return nn.Sequential(*stages), n_in
