"""Identity of an image by its pixels, and the seeds that derive from it.

An image's digest is taken of its 8-bit RGB pixels, so that it is the same whether the image came
as a file, as a row of a data set or as a tensor, and whether its source was grey or colour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.types import IntArray

if TYPE_CHECKING:
    from torch import Tensor

StrArray = npt.NDArray[np.str_]

_RGB_RANK = 4


def image_digests(images: npt.NDArray[np.uint8]) -> StrArray:
    """The sha256 of each image's size and 8-bit RGB pixels.

    Args:
        images: uint8, shape (N, H, W) for grey (taken as three equal channels) or (N, H, W, 3).

    Returns:
        Hexadecimal digests, shape (N,).

    Raises:
        InputError: another dtype or shape.
    """
    grey = images.ndim == _RGB_RANK - 1
    colour = images.ndim == _RGB_RANK and images.shape[3] == 3
    if images.dtype != np.uint8 or not (grey or colour):
        raise InputError(
            "images must be uint8 of shape (N, H, W) or (N, H, W, 3), got "
            f"{images.dtype} of shape {images.shape}"
        )
    size = f"{images.shape[1]}x{images.shape[2]}:".encode()
    return np.array([_one(size, image, grey) for image in images], dtype="<U64")


def _one(size: bytes, image: npt.NDArray[np.uint8], grey: bool) -> str:
    pixels = np.repeat(image, 3) if grey else np.ascontiguousarray(image)
    return hashlib.sha256(size + pixels.tobytes()).hexdigest()


def tensor_digests(images: Tensor) -> StrArray:
    """The digests of tensors in the image convention; equal to those of their 8-bit source.

    Args:
        images: Shape (B, 3, H, W), values in [0, 1]. Values between two 8-bit levels count as
            the nearer one.

    Returns:
        Hexadecimal digests, shape (B,).

    Raises:
        InputError: another shape.
    """
    if images.ndim != _RGB_RANK or images.shape[1] != 3:
        raise InputError(f"images must have shape (B, 3, H, W), got {tuple(images.shape)}")
    levels = (images.detach().cpu() * 255).round().clamp(0, 255).byte()
    return image_digests(levels.permute(0, 2, 3, 1).contiguous().numpy())


def seeds_for(run_seed: int, digests: Iterable[Any], purpose: str) -> IntArray:
    """One seed per image, from the run's seed, the image and the purpose; never from its position.

    Args:
        run_seed: The seed of the whole run.
        digests: One digest per image.
        purpose: What the seed is for; different purposes give independent seeds.

    Returns:
        int64 seeds, shape (N,), at least 0, fit for any generator.
    """
    start = hashlib.blake2b(f"{run_seed}\n{purpose}\n".encode(), digest_size=8)
    seeds = []
    for digest in digests:
        state = start.copy()
        state.update(str(digest).encode())
        seeds.append(int.from_bytes(state.digest(), "big") >> 1)
    return np.array(seeds, dtype=np.int64)
