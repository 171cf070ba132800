"""Noise: how strong, where, of which kind, and impulses.

Every 8×8 tile is split by one step of the orthonormal Haar transform. White noise of a given
sigma has that sigma in every band, so that tiles without structure, picked by the coarse band,
show it in the diagonal one without bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gatekeeper.signals.planes import BLACK, WHITE, Planes, average, per_tile, tile_pixels

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
class _Tiles:
    # One number per tile, each of shape (B, T) unless said otherwise.
    mean: Tensor
    structure: Tensor
    kept: Tensor
    luma: Tensor
    chroma: Tensor
    across: Tensor
    down: Tensor
    black: Tensor  # (B, 3, T)
    white: Tensor  # (B, 3, T)


def noise_signals(planes: Planes) -> list[Tensor]:
    """One tensor of shape (B,) per name of :data:`NOISE_NAMES`."""
    corners = tile_pixels(planes.images)
    a, b, c, d = corners
    highest = torch.maximum(torch.maximum(a, b), torch.maximum(c, d))
    lowest = torch.minimum(torch.minimum(a, b), torch.minimum(c, d))
    falling, rising = a + d, b + c
    diagonal = (falling - rising).mul_(0.5)
    total = falling.add_(rising)
    middle = (total - highest).sub_(lowest).mul_(0.5)
    above, below = highest - middle, middle - lowest
    # Ones and zeros of the images' own type, in place: a third of the time of Booleans.
    black, white = lowest.le_(BLACK), highest.ge_(WHITE)
    step = _impulse_step(diagonal[:, 1], black[:, 1] + white[:, 1])
    salt, pepper = above.gt_(step).mul_(white), below.gt_(step).mul_(black)
    keep = _grey(salt + pepper).eq_(0.0)
    tiles = _tiles(corners, total, diagonal, keep, (black, white))
    contrast = (tiles.structure + _TINY).sqrt() * 0.5
    return [
        contrast.mean(dim=1),
        _spread(contrast.clamp_min(1e-3).log()),
        (contrast < _FLAT).to(contrast.dtype).mean(dim=1),
        *_levels(tiles),
        _tail(_grey(diagonal)),
        _impulse_share(salt),
        _impulse_share(pepper),
    ]


def _grey(blocks: Tensor) -> Tensor:
    return (blocks[:, 0] + blocks[:, 1]).add_(blocks[:, 2]).mul_(1 / 3)


def _spread(values: Tensor) -> Tensor:
    centred = values - values.mean(dim=1, keepdim=True)
    return centred.square_().mean(dim=1).sqrt()


def _impulse_step(diagonal: Tensor, clipped: Tensor) -> Tensor:
    """How far an impulse stands out at least: further than noise without it would, (B, 1, …)."""
    free = clipped.eq_(0.0)
    power = per_tile(diagonal.square() * free) / per_tile(free).clamp_min(1.0)
    quarter = power.sort(dim=1).values[:, power.shape[1] // 4]
    return (_IMPULSE_SIGMAS * quarter.sqrt()).clamp_min(_IMPULSE_STEP)[:, None, None, None, None]


def _tiles(
    corners: tuple[Tensor, ...],
    total: Tensor,
    diagonal: Tensor,
    keep: Tensor,
    clipped: tuple[Tensor, Tensor],
) -> _Tiles:
    a, b, c, d = (_grey(corner) for corner in corners)
    kept = per_tile(keep)
    share = 1.0 / kept.clamp_min(1.0)

    def mean_of(blocks: Tensor) -> Tensor:
        return per_tile(blocks * keep) * share

    red, green, blue = diagonal.unbind(1)
    coarse = _grey(total).mul_(0.5)
    level = mean_of(coarse)
    structure = (mean_of(coarse.square()) - level.square()).clamp_min(0.0)
    falling, rising = a - d, b - c
    black, white = (per_tile(where * keep[:, None]) * share[:, None] for where in clipped)
    return _Tiles(
        mean=level * 0.5,
        structure=structure,
        kept=kept,
        luma=mean_of(_grey(diagonal).square_()),
        chroma=mean_of(
            (red - blue).square_().mul_(0.25).add_((2 * green - red - blue).square_(), alpha=1 / 12)
        ),
        across=mean_of((falling - rising).mul_(0.5).square_()),
        down=mean_of((falling + rising).mul_(0.5).square_()),
        black=_of_four(black),
        white=_of_four(white),
    )


def _levels(tiles: _Tiles) -> list[Tensor]:
    clipped = (tiles.black + tiles.white).amax(dim=1)
    unfit = (tiles.kept < 0.25 * _BLOCKS) | (clipped > _CLIPPED_LIMIT)
    order = tiles.structure + tiles.across + tiles.down + _NEVER * unfit.to(clipped.dtype)
    n_selected = max(math.ceil(_SELECTED_SHARE * order.shape[1]), _FEWEST_TILES)
    everywhere = _power(tiles, order, n_selected)
    luma, chroma, across, down, _ = everywhere
    sigma = luma + 2.0 * chroma / 3.0
    parts = []
    for outside in (tiles.mean > _DARK, tiles.mean < _BRIGHT):
        n_part = max(n_selected // 2, _FEWEST_TILES)
        part = _power(tiles, order + 2 * _NEVER * outside.to(order.dtype), n_part)
        # Where there are few such tiles, what is known of all tiles stands in.
        power = (part[0] + 2.0 * part[1] / 3.0) * part[4] + sigma * _FEWEST_TILES
        parts.append((power / (part[4] + _FEWEST_TILES)).sqrt())
    ratio = (0.5 * (across + down) + _TINY) / (luma + _TINY)
    return [
        sigma.sqrt(),
        luma.sqrt(),
        chroma.sqrt(),
        *parts,
        0.5 * ratio.log(),
        0.5 * ((across + _TINY) / (down + _TINY)).log(),
    ]


def _power(tiles: _Tiles, order: Tensor, n_selected: int) -> tuple[Tensor, ...]:
    """Power in the selected tiles of luma, chroma, across, down; how many were fit, each (B,)."""
    key, place = order.topk(min(n_selected, order.shape[1]), dim=1, largest=False)
    fit = (key < _NEVER).to(order.dtype)
    n_fit = fit.sum(dim=1)
    # No tile is fit: all that were selected count, as they are.
    weight = torch.where(n_fit[:, None] > 0, fit, torch.ones_like(fit))
    where = place[:, None].expand(-1, 3, -1)
    gain = _censored_variance(tiles.black.gather(2, where), tiles.white.gather(2, where))
    gain = torch.where(n_fit[:, None] > 0, gain.mean(dim=1), torch.ones_like(fit))
    seen = (gain * weight).sum(dim=1).clamp_min(_TINY)

    def mean_of(values: Tensor) -> Tensor:
        return (values.gather(1, place) * weight).sum(dim=1) / seen

    powers = (mean_of(v) for v in (tiles.luma, tiles.chroma, tiles.across, tiles.down))
    return (*powers, n_fit)


def _censored_variance(below: Tensor, above: Tensor) -> Tensor:
    """Variance of a standard normal after clipping off these shares below and above.

    Source:
        Moments of the doubly censored normal distribution (Cohen 1950, Ann. Math. Stat. 21).
    """
    low = torch.special.ndtri(below.clamp(1e-6, 0.45))
    high = -torch.special.ndtri(above.clamp(1e-6, 0.45))
    height_low, height_high = (
        torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi) for z in (low, high)
    )
    below, above = below.clamp(1e-6, 0.45), above.clamp(1e-6, 0.45)
    mean = low * below + high * above + height_low - height_high
    inside = 1.0 - below - above + low * height_low - high * height_high
    square = low.square() * below + high.square() * above + inside
    return torch.sub(square, mean.square())


def _tail(diagonal: Tensor) -> Tensor:
    flat = diagonal.flatten(1)
    root = average(flat.square()).sqrt()
    typical = math.sqrt(math.pi / 2) * average(flat.abs())
    return torch.log((root + 1e-3) / (typical + 1e-3))


def _of_four(share: Tensor) -> Tensor:
    """Share of pixels that makes this share of blocks have one or more of them."""
    without = torch.rsub(share, 1.0).clamp(0.0, 1.0)
    return torch.rsub(without.sqrt().sqrt(), 1.0)


def _impulse_share(found: Tensor) -> Tensor:
    share = average(found)
    return _of_four(share)
