"""Attention within windows that are shifted in every second block."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatekeeper.errors import InputError

_BLOCKED = float("-inf")


@lru_cache(maxsize=128)
def shift_mask(
    height: int, width: int, window: tuple[int, int], shift: tuple[int, int], device: str
) -> Tensor:
    """Which pixels of a window may see one another after a circular shift; kept and used again.

    What the shift brings together from opposite borders must not be mixed.

    Args:
        height: Of the grid, a multiple of the window's.
        width: Of the grid, likewise.
        window: Height and width of the windows.
        shift: By how much the grid was rolled up and to the left.
        device: Where the mask is needed.

    Returns:
        To be added to the attention's logits, shape (W, 1, P, P) for W windows of P pixels: 0
        where two pixels may see one another, minus infinity where not.
    """
    with torch.inference_mode(False):  # a mask first needed in inference serves training, too
        parts = [
            (torch.arange(side, device=device) >= side - w).long()
            + (torch.arange(side, device=device) >= side - s).long() * int(s > 0)
            for side, w, s in zip((height, width), window, shift, strict=True)
        ]
        label = (3 * parts[0][:, None] + parts[1][None, :]).reshape(1, 1, height, width)
        label = into_windows(label, window)[:, :, 0]
        apart = label[:, :, None] != label[:, None, :]
        zeros = torch.zeros(apart.shape, device=device)
        return zeros.masked_fill(apart, _BLOCKED)[:, None]


@lru_cache(maxsize=128)
def offset_index(window: tuple[int, int], largest: int, device: str) -> Tensor:
    """Row of the bias table for each pair of pixels of a window, shape (P, P).

    Args:
        window: Height and width, each at most ``largest``.
        largest: The side of the windows for which the table was made, (2 · largest - 1)² rows.
        device: Where the index is needed.
    """
    with torch.inference_mode(False):
        y, x = torch.meshgrid(
            torch.arange(window[0], device=device),
            torch.arange(window[1], device=device),
            indexing="ij",
        )
        y, x = y.flatten(), x.flatten()
        down = y[:, None] - y[None, :] + largest - 1
        right = x[:, None] - x[None, :] + largest - 1
        return down * (2 * largest - 1) + right


def into_windows(values: Tensor, window: tuple[int, int]) -> Tensor:
    """(B, C, H, W) -> (B · windows, P, C), windows row by row, pixels row by row."""
    batch, channels, height, width = values.shape
    rows, columns = height // window[0], width // window[1]
    split = values.reshape(batch, channels, rows, window[0], columns, window[1])
    return split.permute(0, 2, 4, 3, 5, 1).reshape(-1, window[0] * window[1], channels)


def from_windows(values: Tensor, window: tuple[int, int], height: int, width: int) -> Tensor:
    """The inverse of :func:`into_windows`, shape (B, C, H, W)."""
    rows, columns = height // window[0], width // window[1]
    split = values.reshape(-1, rows, columns, window[0], window[1], values.shape[-1])
    return split.permute(0, 5, 1, 3, 2, 4).reshape(-1, values.shape[-1], height, width)


class SwinBlock(nn.Module):
    """Windowed attention and a small perceptron, each added to what came in.

    Args:
        width: Channels.
        heads: Of the attention; divides the width.
        window: Side of the windows; on a smaller grid the window is the grid.
        shifted: Whether the grid is rolled by half a window first; never where the window is the
            whole side.
        mlp_ratio: Width of the perceptron's middle, in widths.
        groups: Of the group normalisation.

    Source:
        Swin transformer (arXiv:2103.14030) as ResShift uses it (arXiv:2307.12348): group
        normalisation and 1×1 convolutions.
    """

    def __init__(
        self, width: int, heads: int, window: int, *, shifted: bool, mlp_ratio: int, groups: int
    ) -> None:
        super().__init__()
        self.heads, self.window, self.shifted = heads, window, shifted
        self.norm = nn.GroupNorm(groups, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.mlp = nn.Sequential(
            nn.GroupNorm(groups, width),
            nn.Conv2d(width, mlp_ratio * width, 1),
            nn.GELU(),
            nn.Conv2d(mlp_ratio * width, width, 1),
        )

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W) -> the same; H and W multiples of the window, or at most it.

        Raises:
            InputError: a side is neither.
        """
        height, width = values.shape[2:]
        window = (min(self.window, height), min(self.window, width))
        if height % window[0] or width % window[1]:
            raise InputError(
                f"expected a grid of sides that are multiples of {self.window}, or at most that, "
                f"got {height}×{width}: pad the image"
            )
        values = values + self._attended(self.norm(values), window)
        changed: Tensor = self.mlp(values)
        return values + changed

    def _attended(self, values: Tensor, window: tuple[int, int]) -> Tensor:
        height, width = values.shape[2:]
        shift = self._shift(height, width)
        if any(shift):
            values = torch.roll(values, (-shift[0], -shift[1]), dims=(2, 3))
        seen = self._attention(into_windows(values, window), height, width, window, shift)
        values = from_windows(seen, window, height, width)
        return torch.roll(values, shift, dims=(2, 3)) if any(shift) else values

    def _shift(self, height: int, width: int) -> tuple[int, int]:
        if not self.shifted:
            return 0, 0
        half = self.window // 2
        return half * int(height > self.window), half * int(width > self.window)

    def _attention(
        self,
        values: Tensor,
        height: int,
        width: int,
        window: tuple[int, int],
        shift: tuple[int, int],
    ) -> Tensor:
        n_windows = (height // window[0]) * (width // window[1])
        pixels, channels = values.shape[1:]
        qkv = self.qkv(values).reshape(-1, n_windows, pixels, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5)
        index = offset_index(window, self.window, str(values.device))
        bias = self.bias[index].permute(2, 0, 1)[None]
        if any(shift):
            bias = bias + shift_mask(height, width, window, shift, str(values.device))
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        seen = seen.transpose(2, 3).reshape(-1, pixels, channels)
        mixed: Tensor = self.out(seen)
        return mixed


class SwinLayer(nn.Module):
    """A 1×1 convolution to the attention's width, blocks plain and shifted in turn, and back.

    Args:
        width: Channels that come in and go out.
        inner: Channels of the attention.
        blocks: Number of blocks.
        head_width: Channels per head; divides ``inner``.
        window: Side of the windows.
        mlp_ratio: As in :class:`SwinBlock`.
        groups: Of the group normalisation; divides ``inner``.
    """

    def __init__(
        self,
        width: int,
        *,
        inner: int,
        blocks: int,
        head_width: int,
        window: int,
        mlp_ratio: int,
        groups: int,
    ) -> None:
        super().__init__()
        self.enter = nn.Conv2d(width, inner, 1)
        self.blocks = nn.ModuleList(
            SwinBlock(
                inner,
                inner // head_width,
                window,
                shifted=bool(position % 2),
                mlp_ratio=mlp_ratio,
                groups=groups,
            )
            for position in range(blocks)
        )
        self.leave = nn.Conv2d(inner, width, 1)

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W) -> the same; see :meth:`SwinBlock.forward`."""
        values = self.enter(values)
        for block in self.blocks:
            values = block(values)
        left: Tensor = self.leave(values)
        return left
