"""Random numbers per image: a counter hashed with the image's own seed.

A draw depends on (seed, stream, position in the image) and on nothing else: not on the batch, the
device or global state. The hash is splitmix64 in wrapping 64-bit integers, which torch computes
alike on CPU and GPU.

Source:
    Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators" (the finaliser).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.types import IntArray


def _signed(word: int) -> int:
    return (word + (1 << 63)) % (1 << 64) - (1 << 63)


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_A = _signed(0xBF58476D1CE4E5B9)
_MIX_B = _signed(0x94D049BB133111EB)


def _mix(state: Tensor) -> Tensor:
    # torch shifts int64 arithmetically, so the sign bits are masked off after each shift.
    state = (state ^ ((state >> 30) & ((1 << 34) - 1))) * _MIX_A
    state = (state ^ ((state >> 27) & ((1 << 37) - 1))) * _MIX_B
    return state ^ ((state >> 31) & ((1 << 33) - 1))


def _words(seeds: IntArray, n: int, stream: int, device: torch.device) -> Tensor:
    offset = _signed(stream * _GOLDEN)  # wrapped here: torch refuses a Python integer beyond int64
    base = _mix(torch.as_tensor(seeds, dtype=torch.int64, device=device) + offset)
    counter = torch.arange(1, n + 1, dtype=torch.int64, device=device) * _GOLDEN
    return _mix(base[:, None] + counter[None, :])


# 23 bits and a half: every value (2k + 1) / 2^24 is exact in float32, so 1.0 is never reached.
def _high(words: Tensor) -> Tensor:
    return ((words >> 41) & 0x7FFFFF).float() * 2.0**-23 + 2.0**-24


def _low(words: Tensor) -> Tensor:
    return ((words >> 17) & 0x7FFFFF).float() * 2.0**-23 + 2.0**-24


def _gauss(words: Tensor) -> Tensor:
    radius = torch.sqrt(-2.0 * torch.log(_high(words)))
    return radius * torch.cos(2.0 * math.pi * _low(words))


def uniform(
    seeds: IntArray, n: int, *, stream: int = 0, device: torch.device | str = "cpu"
) -> Tensor:
    """Uniform draws in the open interval (0, 1), shape (B, n), one row per seed.

    Args:
        seeds: One integer per image, shape (B,).
        n: Draws per image.
        stream: Number of an independent stream of the same seed.
        device: Where the draws are made; the values do not depend on it.
    """
    return _high(_words(seeds, n, stream, torch.device(device)))


def normal(
    seeds: IntArray, n: int, *, stream: int = 0, device: torch.device | str = "cpu"
) -> Tensor:
    """Standard normal draws, shape (B, n), one row per seed; arguments as in :func:`uniform`."""
    return _gauss(_words(seeds, n, stream, torch.device(device)))


def derived_seeds(seeds: IntArray, stream: int) -> IntArray:
    """Seeds of an independent stream of each seed, shape (B,): for the second of two steps."""
    words: IntArray = _words(seeds, 1, stream, torch.device("cpu"))[:, 0].numpy()
    return words


def pixel_uniform(images: Tensor, seeds: IntArray, *, stream: int = 0) -> Tensor:
    """One uniform draw per pixel of ``images`` (B, 3, H, W); see :func:`pixel_normal`."""
    return _per_pixel(images, seeds, stream, normal=False)


def pixel_normal(images: Tensor, seeds: IntArray, *, stream: int = 0) -> Tensor:
    """One standard normal draw per pixel of ``images``, shape (B, 3, H, W).

    A grey image (three equal channels) gets the same draw in its three channels, because the
    sensor of a greyscale source has one; a colour image gets three independent draws.

    Raises:
        InputError: there is not one seed per image.
    """
    return _per_pixel(images, seeds, stream, normal=True)


def is_grey(images: Tensor) -> Tensor:
    """Whether the three channels of an image (B, 3, H, W) are equal, boolean (B,)."""
    return (images == images[:, :1]).flatten(1).all(dim=1)


def _per_pixel(images: Tensor, seeds: IntArray, stream: int, *, normal: bool) -> Tensor:
    batch, channels, height, width = images.shape
    if len(seeds) != batch:
        raise InputError(f"expected one seed per image, got {len(seeds)} for {batch} images")
    grey = is_grey(images)
    drawn = 1 if bool(grey.all()) else channels
    words = _words(seeds, drawn * height * width, stream, images.device)
    draws = _gauss(words) if normal else _high(words)
    draws = draws.reshape(batch, drawn, height, width).expand(batch, channels, height, width)
    return torch.where(grey[:, None, None, None], draws[:, :1], draws)
