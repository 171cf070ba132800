"""Blur: loss of sharpness."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gatekeeper.corruptions.base import TabulatedCorruption
from gatekeeper.types import IntArray


def _reflect(images: Tensor, radius: int, axis: int) -> Tensor:
    # Mirroring by index works for any radius, also one larger than the image.
    size = images.shape[axis]
    index = torch.arange(-radius, size + radius, device=images.device)
    period = 2 * size
    index = index.remainder(period)
    index = torch.where(index >= size, period - 1 - index, index)
    return images.index_select(axis, index)


def _blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    batch, channels, height, width = images.shape
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    # Grouped convolution: every image is blurred by its own kernel in one call.
    weight = kernel.repeat_interleave(channels, dim=0)[:, None, None, :]
    for axis in (3, 2):
        padded = _reflect(images, radius, axis)
        stacked = padded.reshape(1, batch * channels, *padded.shape[2:])
        shaped = weight if axis == 3 else weight.transpose(2, 3)
        images = F.conv2d(stacked, shaped, groups=batch * channels).reshape(
            batch, channels, height, width
        )
    return images


class GaussianBlur(TabulatedCorruption):
    """Convolution with a Gaussian kernel, borders mirrored; level is its standard deviation."""

    name = "gaussian_blur"
    families = ("gaussian_blur",)
    levels: ClassVar = (0.6, 0.9, 1.2, 1.6, 2.0)
    unit = "standard deviation, pixels"

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Blur along both axes; the kernel is cut at four standard deviations."""
        del seeds  # deterministic
        radii = torch.floor(4.0 * level.flatten() + 0.5).int()
        blurred = images.clone()
        # Padding a short kernel with zeros would change how its sums are rounded: an image's
        # answer would depend on the widest blur in its batch.
        for radius in sorted(set(radii.tolist())):
            rows = radii == radius
            if radius > 0:
                blurred[rows] = _blur(images[rows], level[rows].reshape(-1, 1), radius)
        return blurred
