"""Filters with one kernel per image: Gaussian, motion, and smoothing of random fields.

Every sum runs over the taps one after the other, elementwise, or in double precision: how many
images share the call never changes a row's numbers.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def mirrored(index: Tensor, size: int) -> Tensor:
    """Whole positions outside 0…size − 1, mirrored about the edges of the outermost pixels."""
    index = index.remainder(2 * size)
    return torch.where(index >= size, 2 * size - 1 - index, index)


def padded(images: Tensor, radius: int, axis: int, *, border: str) -> Tensor:
    """``images`` with ``radius`` more pixels at both ends of ``axis``.

    Args:
        images: Any shape.
        radius: May be larger than the image.
        axis: The axis that grows.
        border: ``"mirror"`` (d c b a | a b c d) or ``"edge"`` (a a a a | a b c d).
    """
    size = images.shape[axis]
    index = torch.arange(-radius, size + radius, device=images.device)
    index = mirrored(index, size) if border == "mirror" else index.clamp(0, size - 1)
    return images.index_select(axis, index)


def gaussian_blur(images: Tensor, sigma: Tensor, *, border: str) -> Tensor:
    """Gaussian blur with one standard deviation per image, cut at four of them.

    Args:
        images: Shape (B, C, H, W).
        sigma: Standard deviation in pixels, shape (B,), at least 0; below 0.125 nothing happens.
        border: See :func:`padded`.
    """
    sigma = sigma.double()
    radii = torch.floor(4.0 * sigma + 0.5).int()
    blurred = images.clone()
    # Rows of one kernel length go together; a longer kernel padded with zeros would be wasted.
    for radius in sorted(set(radii.tolist()) - {0}):
        rows = radii == radius
        offsets = torch.arange(-radius, radius + 1, device=images.device)
        kernel = torch.exp(-0.5 * (offsets / sigma[rows, None]) ** 2)
        kernel = (kernel / kernel.sum(dim=1, keepdim=True)).to(images.dtype)
        blurred[rows] = _along(_along(images[rows], kernel, 3, border), kernel, 2, border)
    return blurred


def _along(images: Tensor, kernel: Tensor, axis: int, border: str) -> Tensor:
    size = images.shape[axis]
    wide = padded(images, kernel.shape[1] // 2, axis, border=border)
    total = torch.zeros_like(images)
    for tap in range(kernel.shape[1]):
        total.addcmul_(kernel[:, tap, None, None, None], wide.narrow(axis, tap, size))
    return total


def motion_blur(images: Tensor, radius: Tensor, sigma: Tensor, angle: Tensor) -> Tensor:
    """Smear along a line that starts at the pixel: a camera or an object that moves.

    The weights are half a Gaussian over 2 · ⌈radius⌉ + 1 whole-pixel steps; borders repeat.

    Args:
        images: Shape (B, C, H, W).
        radius: Half the number of steps, pixels, shape (B,).
        sigma: Standard deviation of the half Gaussian, pixels, shape (B,), positive.
        angle: Direction in radians, shape (B,).
    """
    height, width = images.shape[2:]
    counts = 2 * torch.ceil(radius.double() - 1e-9).long() + 1
    steps = torch.arange(int(counts.max()), device=images.device)
    weights = torch.exp(-0.5 * (steps / sigma.double()[:, None]) ** 2)
    weights = torch.where(steps < counts[:, None], weights, torch.zeros_like(weights))
    weights = (weights / weights.sum(dim=1, keepdim=True)).to(images.dtype)
    across = torch.ceil(steps * torch.cos(angle.double())[:, None] - 0.5).long()
    down = torch.ceil(steps * torch.sin(angle.double())[:, None] - 0.5).long()
    x, y = (torch.arange(size, device=images.device) for size in (width, height))
    flat = images.flatten(2)
    total = torch.zeros_like(flat)
    for step in range(len(steps)):
        columns = (x + across[:, step, None]).clamp(0, width - 1)
        lines = (y + down[:, step, None]).clamp(0, height - 1)
        index = (lines[:, :, None] * width + columns[:, None, :]).flatten(1)[:, None]
        total.addcmul_(weights[:, step, None, None], flat.gather(2, index.expand_as(flat)))
    return total.reshape(images.shape)


@lru_cache(maxsize=32)
def _cosines(size: int, device: torch.device) -> Tensor:
    frequency = torch.arange(size, dtype=torch.float64, device=device)[:, None]
    position = torch.arange(size, dtype=torch.float64, device=device)[None, :]
    basis = torch.cos(math.pi / size * (position + 0.5) * frequency) * math.sqrt(2.0 / size)
    basis[0] *= math.sqrt(0.5)
    return basis


def smooth_field(field: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian smoothing of a random field with mirrored borders, for any width of the kernel.

    In the cosine basis, where a mirrored blur is a product: the cost does not depend on sigma.

    Args:
        field: Shape (B, H, W).
        sigma: Standard deviation in pixels, shape (B,), at least 0.
    """
    squared = _squared_frequencies(field)
    return _shaped(field, torch.exp(-0.5 * sigma.double()[:, None, None] ** 2 * squared))


def blue_field(field: Tensor) -> Tensor:
    """White noise (B, H, W) of variance 1, shaped so that power is proportional to frequency.

    The variance, averaged over the field, stays 1.
    """
    gain = _squared_frequencies(field) ** 0.25
    return _shaped(field, gain / (gain**2).mean().sqrt().clamp(min=1e-9))


def _squared_frequencies(field: Tensor) -> Tensor:
    """Squared frequency of each element of the cosine basis, radians per pixel, (H, W)."""
    height, width = (
        (math.pi * torch.arange(size, dtype=torch.float64, device=field.device) / size) ** 2
        for size in field.shape[1:]
    )
    return height[:, None] + width[None, :]


def _shaped(field: Tensor, gain: Tensor) -> Tensor:
    down, across = (_cosines(size, field.device) for size in field.shape[1:])
    spectrum = down @ field.double() @ across.T
    return (down.T @ (spectrum * gain) @ across).to(field.dtype)
