"""Photographs, and images whose degradation is known."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import skimage
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor

from gatekeeper.signals import SIGNAL_NAMES, image_signals

PHOTOS = (
    "astronaut",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "rocket",
    "brick",
    "grass",
    "gravel",
    "ihc",
    "motorcycle_left",
    "hubble_deep_field",
)


def read(images: Tensor, name: str) -> np.ndarray:
    """One signal of a batch."""
    return image_signals(images)[:, SIGNAL_NAMES.index(name)]


def read_all(images: Tensor) -> dict[str, np.ndarray]:
    """Every signal of a batch by name."""
    return dict(zip(SIGNAL_NAMES, image_signals(images).T, strict=True))


def grey(values: Tensor) -> Tensor:
    """(B, H, W) or (H, W) -> (B, 3, H, W)."""
    return values.reshape(-1, 1, *values.shape[-2:]).expand(-1, 3, -1, -1).contiguous()


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def stored(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * 255).round() / 255


@lru_cache(maxsize=8)
def photos(side: int = 184, shrink: float = 1.6, names: tuple[str, ...] = PHOTOS) -> Tensor:
    """The middle of photographs shrunk by a factor, shape (N, 3, side, side)."""
    folder = Path(skimage.__file__).parent / "data"
    cut = []
    for name in names:
        (path,) = [p for p in folder.iterdir() if p.stem == name]
        with Image.open(path) as image:
            size = (round(image.width / shrink), round(image.height / shrink))
            pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX))
        top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
        cut.append(torch.from_numpy(pixels[top : top + side, left : left + side].copy()))
    return torch.stack(cut).permute(0, 3, 1, 2) / 255


def blurred(images: Tensor, sigma: float) -> Tensor:
    smooth = ndimage.gaussian_filter(images.numpy(), (0, 0, sigma, sigma), mode="reflect")
    return stored(torch.from_numpy(smooth))


def moved(images: Tensor, length: float, degrees: float) -> Tensor:
    """Motion blur: a line of this length, px, anticlockwise from the horizontal."""
    half = math.ceil(length / 2) + 1
    kernel = torch.zeros(2 * half + 1, 2 * half + 1)
    for u in np.linspace(-length / 2, length / 2, 200):
        x = half + u * math.cos(math.radians(degrees))
        y = half - u * math.sin(math.radians(degrees))
        i, j = int(y), int(x)
        for di, dj in ((0, 0), (0, 1), (1, 0), (1, 1)):
            kernel[i + di, j + dj] += (1 - abs(y - i - di)) * (1 - abs(x - j - dj))
    weight = (kernel / kernel.sum()).expand(3, 1, -1, -1)
    padded = F.pad(images, (half, half, half, half), mode="reflect")
    return stored(F.conv2d(padded, weight, groups=3))


def as_jpeg(images: Tensor, quality: int) -> Tensor:
    read_back = []
    for image in images:
        file = io.BytesIO()
        pixels = (image.permute(1, 2, 0) * 255).round().byte().numpy()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        read_back.append(torch.from_numpy(np.asarray(Image.open(file)).copy()))
    return torch.stack(read_back).permute(0, 3, 1, 2) / 255


def pixelated(images: Tensor, block: int) -> Tensor:
    small = F.avg_pool2d(images, block)
    return stored(F.interpolate(small, scale_factor=block, mode="nearest"))


def turned(images: Tensor, degrees: float) -> Tensor:
    """Turned about the middle, corners filled with black."""
    values = ndimage.rotate(images.numpy(), degrees, axes=(2, 3), reshape=False, order=1)
    return stored(torch.from_numpy(values))


def with_impulses(images: Tensor, share: float, seed: int = 3) -> Tensor:
    """This share of pixels replaced, half by 0 and half by 1."""
    draw = uniform(len(images), 1, *images.shape[2:], seed=seed)
    return torch.where(draw < share, (draw < share / 2).float(), images)
