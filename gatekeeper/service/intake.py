"""Untrusted images to what waits for the engine: decoded, checked, brought to size."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gatekeeper.errors import ImageError
from gatekeeper.images import DecodeLimits, decode_image, fit_to
from gatekeeper.service.schemas import ImageBody


def take_file(data: bytes, size: tuple[int, int], limits: DecodeLimits) -> tuple[Tensor, ImageBody]:
    """Decode an image file.

    Args:
        data: Untrusted bytes.
        size: Height and width to bring it to, so that what waits is small.
        limits: What to refuse.

    Returns:
        The image, shape (3, *size), in [0, 1], and the facts about what was received.

    Raises:
        ImageError: it is not an acceptable image.
    """
    return _fitted(decode_image(data, limits=limits), size, hashlib.sha256(data).hexdigest())


def take_pixels(
    pixels: npt.NDArray[Any], size: tuple[int, int], limits: DecodeLimits
) -> tuple[Tensor, ImageBody]:
    """Check an image that the caller decoded.

    Args:
        pixels: Shape (H, W, 3), uint8, or float32 in [0, 1].
        size: As in :func:`take_file`.
        limits: As there.

    Returns:
        As there; the digest is that of the pixels' bytes.

    Raises:
        ImageError: it is too large, or a value is not in [0, 1] or no number.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > limits.max_side or height * width > limits.max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"expected at most {limits.max_pixels} pixels and sides of {limits.max_side}, got "
            f"{width}×{height}",
        )
    if max(height, width) > limits.max_aspect * min(height, width):
        raise ImageError(
            "extreme_aspect",
            f"expected sides of a ratio of at most {limits.max_aspect:g}, got {width}×{height}",
        )
    digest = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
    image = torch.from_numpy(np.array(pixels.transpose(2, 0, 1), dtype=np.float32))
    if pixels.dtype == np.uint8:
        image = image / 255
    elif not bool(((image >= 0) & (image <= 1)).all()):
        raise ImageError(
            "out_of_range",
            "expected pixels in [0, 1] (NaN is none), got others: divide 8-bit values by 255",
        )
    return _fitted(image, size, digest)


def _fitted(image: Tensor, size: tuple[int, int], digest: str) -> tuple[Tensor, ImageBody]:
    height, width = image.shape[1:]
    facts = ImageBody(width=width, height=height, sha256=digest)
    return fit_to(image[None], size)[0], facts
