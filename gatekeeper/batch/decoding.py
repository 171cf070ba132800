"""Files to the pixels that the stages look at; a broken file keeps its place, with its error."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gatekeeper.batch.sources import Item
from gatekeeper.errors import ImageError
from gatekeeper.images import DecodeLimits, decode_pixels, fit_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What was found where an image should be.

    Attributes:
        sha256: Of the bytes, None where there are none to be read.
        width: Pixels as decoded, None for what is no image.
        height: The same.
        decode_ms: Reading, decoding and bringing to size, in milliseconds.
        error: Code and sentence of what is wrong; None where nothing is.
    """

    sha256: str | None
    width: int | None = None
    height: int | None = None
    decode_ms: float
    error: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Some images of a chunk.

    Attributes:
        received: One per item.
        pixels: Those without an error, in order: uint8, shape (M, 3, H, W), RGB.
    """

    received: tuple[Received, ...]
    pixels: npt.NDArray[np.uint8]


def decode_items(items: Sequence[Item], size: tuple[int, int], limits: DecodeLimits) -> Decoded:
    """Read and decode images.

    Pixels are kept as bytes: bringing an image to size rounds to 8-bit levels, so that dividing by
    255 gives again what the service looks at, in a quarter of the memory.

    Args:
        items: Where they are.
        size: Height and width to bring them to.
        limits: What to refuse.
    """
    pixels = np.empty((len(items), 3, *size), dtype=np.uint8)
    received: list[Received] = []
    n = 0
    for item in items:
        received.append(_decode(item, pixels[n], limits))
        n += received[-1].error is None
    return Decoded(tuple(received), pixels[:n])


def join_decoded(parts: Sequence[Decoded]) -> Decoded:
    """Parts of a chunk behind one another; at least one."""
    return Decoded(
        tuple(each for part in parts for each in part.received),
        np.concatenate([part.pixels for part in parts]),
    )


def _decode(item: Item, place: npt.NDArray[np.uint8], limits: DecodeLimits) -> Received:
    """One image from its file to its pixels; ``place``, shape (3, H, W), is filled if it is one."""
    began = time.perf_counter()
    sha256: str | None = None
    height: int | None = None
    width: int | None = None
    error: tuple[str, str] | None = None
    try:
        data = item.reference.read(limits.max_bytes)
        sha256 = hashlib.sha256(data).hexdigest()
        found = decode_pixels(data, limits=limits)
        height, width = found.shape[:2]
        place[:] = _fitted(found.transpose(2, 0, 1), place.shape[1:])
    except ImageError as refused:
        error = (refused.reason, str(refused))
    return Received(
        sha256=sha256,
        width=width,
        height=height,
        decode_ms=(time.perf_counter() - began) * 1000,
        error=error,
    )


def _fitted(pixels: npt.NDArray[np.uint8], size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Shape (3, H, W) brought to size, as the service does it; most often it has it already."""
    if pixels.shape[1:] == size:
        return pixels
    image = torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255)
    return np.asarray(fit_to(image[None], (size[0], size[1]))[0].mul(255).round().byte().numpy())
