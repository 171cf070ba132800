"""Noise: how strong, where, of which kind, and impulses.

Every 8×8 tile is split by one step of the orthonormal Haar transform. White noise of a given
sigma has that sigma in every band, so that tiles without structure, picked by the coarse band,
show it in the diagonal one without bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gatekeeper.signals.planes import (
    BLACK,
    WHITE,
    Planes,
    log,
    per_tile,
    root,
    row_means,
    row_sums,
    tile_pixels,
)
from gatekeeper.types import BoolArray, FloatArray, IntArray

NOISE_NAMES = (
    "local_contrast",
    "contrast_spread",
    "flat_share",
    "noise_sigma",
    "noise_luma",
    "noise_chroma",
    "noise_sigma_dark",
    "noise_sigma_bright",
    "noise_correlation",
    "noise_stripes",
    "noise_tail",
    "salt_share",
    "pepper_share",
)
"""Structure and noise, in shares of full scale unless said otherwise; more noise is higher.

``local_contrast`` is the mean, over tiles, of the standard deviation of their 2×2 means;
``contrast_spread`` the standard deviation of its logarithm over tiles (0 where all are alike, about
1 in photographs); ``flat_share`` the share of tiles below 0.01, in [0, 1].

``noise_sigma`` is the standard deviation of white noise in one channel, in about [0, 0.5], clipping
undone: ``noise_luma`` that in the mean of the channels, ``noise_chroma`` that along each of two
colour axes, and sigma² = luma² + ⅔ · chroma². ``noise_sigma_dark`` and ``noise_sigma_bright`` are
the same in tiles with a mean up to 0.4 and from 0.6 on; where there are few, they fall back on all
tiles. ``noise_correlation`` is ½ log of horizontal and vertical over diagonal power in tiles
without structure, in about [−1, 3]: about −0.1 for white noise, since tiles are picked for little
power in the former, higher for noise that is smooth.
``noise_stripes`` is ½ log of horizontal over vertical power: 0 without direction, positive where
columns differ more than rows. ``noise_tail`` is the logarithm of the root mean square over the
mean absolute diagonal band, scaled to 0 for a normal distribution; rare strong steps raise it.
``salt_share`` and ``pepper_share`` are the shares of values that are lone white or black ones, in
[0, 1].
"""

_BLOCKS = 16.0  # per tile
_SELECTED_SHARE = 0.2
_FEWEST_TILES = 4
_CLIPPED_LIMIT = 0.3
_IMPULSE_STEP = 0.1
_IMPULSE_SIGMAS = 4.5
_TINY = 1e-7
_NEVER = 1e3
_FLAT = 0.01
_DARK, _BRIGHT = 0.4, 0.6


@dataclass(frozen=True, slots=True)
class _Blocks:
    # Numbers of the 2×2 blocks of the tiles, each of shape (B, 3, tile rows, 4, 4 · tile columns)
    # unless said otherwise.
    corners: FloatArray  # (4, …)
    total: FloatArray
    diagonal: FloatArray
    grey_total: FloatArray  # without the channels, as the next one
    grey_diagonal: FloatArray
    above: FloatArray  # how far the highest pixel is from the middle of the other two
    below: FloatArray
    black: BoolArray
    white: BoolArray

    @classmethod
    def of(cls, images: Tensor) -> _Blocks:
        corners = np.asarray(tile_pixels(images).numpy())
        a, b, c, d = corners
        highest = np.maximum(np.maximum(a, b), np.maximum(c, d))
        lowest = np.minimum(np.minimum(a, b), np.minimum(c, d))
        falling, rising = a + d, b + c
        both = np.empty((2, *a.shape), dtype=np.float32)
        total, diagonal = np.add(falling, rising, out=both[0]), both[1]
        np.subtract(falling, rising, out=diagonal)
        diagonal *= 0.5
        middle = total - highest
        middle -= lowest
        middle *= 0.5
        grey_total, grey_diagonal = _grey(both)
        return cls(
            corners=corners,
            total=total,
            diagonal=diagonal,
            grey_total=grey_total,
            grey_diagonal=grey_diagonal,
            above=highest - middle,
            below=middle - lowest,
            black=lowest <= BLACK,
            white=highest >= WHITE,
        )


@dataclass(frozen=True, slots=True)
class _Tiles:
    # One number per tile, each of shape (B, T) unless said otherwise.
    mean: FloatArray
    structure: FloatArray
    kept: FloatArray
    powers: FloatArray  # of luma, chroma, across, down: (4, B, T)
    clipped: FloatArray  # shares of black and of white: (2, 3, B, T)


def noise_signals(planes: Planes) -> list[FloatArray]:
    """One array of shape (B,) per name of :data:`NOISE_NAMES`."""
    blocks = _Blocks.of(planes.images)
    step = _impulse_step(blocks)
    salt, pepper = (blocks.above > step) & blocks.white, (blocks.below > step) & blocks.black
    tiles = _tiles(blocks, ~np.logical_or.reduce(salt | pepper, axis=1))
    contrast = root(tiles.structure + _TINY) * 0.5
    both = np.stack([contrast, log(np.maximum(contrast, 1e-3))])
    local, middle = row_means(both)
    spread = row_means(np.square(both[1] - middle[:, None]))
    return [
        local,
        root(spread),
        _share(contrast < _FLAT),
        *_levels(tiles),
        _tail(blocks.grey_diagonal),
        _of_four(_share(salt)),
        _of_four(_share(pepper)),
    ]


def _grey(blocks: FloatArray) -> FloatArray:
    """Mean of the channels: (…, 3, tile rows, 4, width) -> (…, tile rows, 4, width)."""
    grey = blocks[..., 0, :, :, :] + blocks[..., 1, :, :, :]
    grey += blocks[..., 2, :, :, :]
    grey *= 1 / 3
    return np.asarray(grey)


def _per_tile(blocks: FloatArray) -> FloatArray:
    return np.asarray(per_tile(torch.from_numpy(blocks)).numpy())


def _share(found: BoolArray) -> FloatArray:
    """Share of what is true, shape (B,)."""
    flat = found.reshape(len(found), -1)
    return np.asarray(np.add.reduce(flat, axis=1).astype(np.float32) / flat.shape[1])


def _impulse_step(blocks: _Blocks) -> FloatArray:
    """How far an impulse stands out at least: further than noise without it would, (B, 1, …)."""
    free = ~(blocks.black[:, 1] | blocks.white[:, 1])
    parts = np.empty((2, *free.shape), dtype=np.float32)
    parts[1] = free
    np.multiply(np.square(blocks.diagonal[:, 1], out=parts[0]), parts[1], out=parts[0])
    power, count = _per_tile(parts)
    power /= np.maximum(count, 1.0)
    at = power.shape[1] // 4
    quarter = np.partition(power, at, axis=1)[:, at]
    step = np.maximum(_IMPULSE_SIGMAS * root(quarter), _IMPULSE_STEP)
    return np.asarray(step[:, None, None, None, None])


def _tiles(blocks: _Blocks, keep: BoolArray) -> _Tiles:
    """Means over the blocks of each tile that are kept: those without impulses."""
    parts = np.empty((13, *keep.shape), dtype=np.float32)
    kept, coarse, power, luma, chroma, across, down = parts[:7]
    kept[:] = keep
    np.multiply(blocks.grey_total, 0.5, out=coarse)
    np.square(coarse, out=power)
    np.square(blocks.grey_diagonal, out=luma)
    _chroma(blocks.diagonal, out=chroma)
    a, b, c, d = _grey(blocks.corners)
    falling, rising = a - d, b - c
    for steps, out in ((falling - rising, across), (falling + rising, down)):
        steps *= 0.5
        np.square(steps, out=out)
    parts[1:7] *= kept
    parts[7:10] = (blocks.black & keep[:, None]).swapaxes(0, 1)
    parts[10:13] = (blocks.white & keep[:, None]).swapaxes(0, 1)
    sums = _per_tile(parts)
    count, means = sums[0], sums[1:]
    means *= 1.0 / np.maximum(count, 1.0)
    level = means[0]
    return _Tiles(
        mean=level * 0.5,
        structure=np.maximum(means[1] - np.square(level), 0.0),
        kept=count,
        powers=means[2:6],
        clipped=_of_four(means[6:]).reshape(2, 3, *level.shape),
    )


def _chroma(diagonal: FloatArray, *, out: FloatArray) -> None:
    """Power along two colour axes, their mean; shape (B, tile rows, 4, width)."""
    red, green, blue = diagonal[:, 0], diagonal[:, 1], diagonal[:, 2]
    np.square(np.subtract(red, blue, out=out), out=out)
    out *= 0.25
    other = 2 * green
    other -= red
    other -= blue
    # Torch's, which rounds once.
    torch.from_numpy(out).add_(torch.from_numpy(np.square(other, out=other)), alpha=1 / 12)


def _levels(tiles: _Tiles) -> list[FloatArray]:
    """Sigmas in all channels, luma and chroma, in dark and bright tiles; the two ratios."""
    most = np.maximum.reduce(tiles.clipped[0] + tiles.clipped[1], axis=0)
    unfit = (tiles.kept < 0.25 * _BLOCKS) | (most > _CLIPPED_LIMIT)
    order = tiles.structure + tiles.powers[2] + tiles.powers[3]
    order += _NEVER * unfit.astype(np.float32)
    n_selected = max(math.ceil(_SELECTED_SHARE * order.shape[1]), _FEWEST_TILES)
    orders = np.stack([tiles.mean > _DARK, tiles.mean < _BRIGHT]).astype(np.float32)
    orders *= 2 * _NEVER
    orders += order
    n_part = max(n_selected // 2, _FEWEST_TILES)
    (luma, chroma, across, down), n_fit = _powers(tiles, order, orders, n_selected, n_part)
    sigma = luma + 2.0 * chroma / 3.0
    # Where there are few dark or bright tiles, what is known of all tiles stands in.
    few = sigma[1:] * n_fit[1:] + sigma[0] * _FEWEST_TILES
    parts = few / (n_fit[1:] + _FEWEST_TILES)
    luma, chroma, across, down = luma[0], chroma[0], across[0], down[0]
    sigmas = root(np.stack([sigma[0], luma, chroma, *parts]))
    ratios = np.stack(
        [
            (0.5 * (across + down) + _TINY) / (luma + _TINY),
            (across + _TINY) / (down + _TINY),
        ]
    )
    return [*sigmas, *(0.5 * log(ratios))]


def _powers(
    tiles: _Tiles, order: FloatArray, orders: FloatArray, n_selected: int, n_part: int
) -> tuple[FloatArray, FloatArray]:
    """Power in the selected tiles: of all, of the dark and of the bright ones.

    Args:
        tiles: All.
        order: Those that come first are selected; from ``_NEVER`` on they are unfit, (B, T).
        orders: The same for the dark and the bright ones, (2, B, T).
        n_selected: Of all.
        n_part: Of the dark, and of the bright.

    Returns:
        Power of luma, chroma, across and down in the three selections, (4, 3, B), and how many
        tiles of each were fit, (3, B).
    """
    n_tiles = order.shape[1]
    first = _least(order[None], min(n_selected, n_tiles))
    others = _least(orders, min(n_part, n_tiles))
    keys, places = (np.concatenate(part, axis=1) for part in zip(first, others, strict=True))
    widths = (first[0].shape[1], *[others[0].shape[1] // 2] * 2)
    fit = (keys < _NEVER).astype(np.float32)
    n_fit = np.add.reduceat(fit, (0, widths[0], widths[0] + widths[1]), axis=1)
    # No tile is fit: all that were selected count, as they are.
    any_fit = np.repeat(n_fit > 0, widths, axis=1)
    rows = np.arange(len(keys))[:, None]
    gains = _censored_variance(*tiles.clipped[:, :, rows, places])
    gain = gains[0] + gains[1]
    gain += gains[2]
    gain /= 3.0
    weighted = np.empty((5, *keys.shape), dtype=np.float32)
    weighted[0] = np.where(any_fit, gain, 1.0)
    weighted[1:] = tiles.powers[:, rows, places]
    weighted *= np.where(any_fit, fit, 1.0)
    sums = np.concatenate(
        [
            row_sums(weighted[..., None, : widths[0]]),
            row_sums(weighted[..., widths[0] :].reshape(5, len(keys), 2, -1)),
        ],
        axis=2,
    )
    powers = sums[1:] / np.maximum(sums[0], _TINY)
    return powers.swapaxes(1, 2), n_fit.T


def _least(orders: FloatArray, n: int) -> tuple[FloatArray, IntArray]:
    """The least ``n`` values of each row and their places: (S, B, T) -> (B, S · n) twice."""
    found = torch.from_numpy(orders).topk(n, dim=2, largest=False)
    values, places = (part.swapaxes(0, 1).flatten(1).numpy() for part in found)
    return values, places


def _censored_variance(below: FloatArray, above: FloatArray) -> FloatArray:
    """Variance of a standard normal after clipping off these shares below and above.

    Source:
        Moments of the doubly censored normal distribution (Cohen 1950, Ann. Math. Stat. 21).
    """
    shares = np.minimum(np.maximum(np.stack([below, above]), 1e-6), 0.45)
    limits = torch.special.ndtri(torch.from_numpy(shares)).numpy()
    squares = np.square(limits)
    heights = torch.from_numpy(-0.5 * squares).exp_().numpy() / math.sqrt(2 * math.pi)
    # The upper limit is minus the second of them.
    (low, high), (below, above), (height_low, height_high) = limits, shares, heights
    mean = low * below - high * above + height_low - height_high
    inside = 1.0 - below - above + low * height_low + high * height_high
    square = squares[0] * below + squares[1] * above + inside
    return np.asarray(square - np.square(mean))


def _tail(diagonal: FloatArray) -> FloatArray:
    flat = diagonal.reshape(len(diagonal), -1)
    square, typical = row_means(np.stack([np.square(flat), np.abs(flat)]))
    typical *= math.sqrt(math.pi / 2)
    return log((root(square) + 1e-3) / (typical + 1e-3))


def _of_four(share: FloatArray) -> FloatArray:
    """Share of pixels that makes this share of blocks have one or more of them."""
    without = np.minimum(np.maximum(1.0 - share, 0.0), 1.0)
    return np.asarray(1.0 - root(root(without)))
