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
    received, pixels = [], [np.empty((0, 3, *size), dtype=np.uint8)]
    for item in items:
        began = time.perf_counter()
        one = _Reading(item, size, limits)
        received.append(one.received((time.perf_counter() - began) * 1000))
        if one.pixels is not None:
            pixels.append(one.pixels[None])
    return Decoded(tuple(received), np.concatenate(pixels))


def join_decoded(parts: Sequence[Decoded]) -> Decoded:
    """Parts of a chunk behind one another; at least one."""
    return Decoded(
        tuple(each for part in parts for each in part.received),
        np.concatenate([part.pixels for part in parts]),
    )


class _Reading:
    """One image on its way from its file to its pixels."""

    def __init__(self, item: Item, size: tuple[int, int], limits: DecodeLimits) -> None:
        self.pixels: npt.NDArray[np.uint8] | None = None
        self._sha256: str | None = None
        self._seen: tuple[int, int] | None = None
        self._error: tuple[str, str] | None = None
        try:
            data = item.reference.read(limits.max_bytes)
            self._sha256 = hashlib.sha256(data).hexdigest()
            found = decode_pixels(data, limits=limits)
            self._seen = found.shape[:2]
            self.pixels = _fitted(found.transpose(2, 0, 1), size)
        except ImageError as error:
            self._error = (error.reason, str(error))

    def received(self, ms: float) -> Received:
        height, width = self._seen or (None, None)
        return Received(
            sha256=self._sha256, width=width, height=height, decode_ms=ms, error=self._error
        )


def _fitted(pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Shape (3, H, W) brought to size, as the service does it; most often it has it already."""
    if pixels.shape[1:] == size:
        return pixels
    image = torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255)
    return np.asarray(fit_to(image[None], size)[0].mul(255).round().byte().numpy())
