"""Which images an input tensor holds."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gatekeeper.wire.datatypes import BYTES
from gatekeeper.wire.problems import WireError
from gatekeeper.wire.tensors import WireTensor

INPUT = "image"
"""Name of the one input."""

_BASE64 = "base64"
_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """Image files.

    Attributes:
        files: N of them, untrusted bytes.
    """

    files: tuple[bytes, ...]

    def __len__(self) -> int:
        """Number of images N."""
        return len(self.files)


@dataclass(frozen=True, slots=True, eq=False)
class PixelImages:
    """Images that the caller decoded.

    Attributes:
        pixels: Shape (N, H, W, 3), RGB; uint8, or float32 whose values are as sent: whether each
            image is finite and in [0, 1] is judged image by image.
    """

    pixels: npt.NDArray[Any]

    def __len__(self) -> int:
        """Number of images N."""
        return len(self.pixels)


def images_of(inputs: Sequence[WireTensor], *, most: int) -> EncodedImages | PixelImages:
    """The images of a request.

    What they are is declared, never guessed: BYTES of shape [N] or [N, 1] are files; in JSON their
    strings must be base64 and say so by the parameter ``content_type``; UINT8 and FP32 of shape
    [N, H, W, 3] are pixels.

    Args:
        inputs: Of the request; exactly one, called :data:`INPUT`.
        most: Most images in one request.

    Raises:
        WireError: there is another input, or it is none of these.
    """
    if [tensor.name for tensor in inputs] != [INPUT]:
        names = [tensor.name for tensor in inputs]
        raise WireError(f"expected one input named {INPUT!r}, got {names!r:.100}")
    [tensor] = inputs
    if tensor.shape[0] > most:
        raise WireError(f"expected at most {most} images in a request, got {tensor.shape[0]}")
    if isinstance(tensor.elements, tuple):
        return EncodedImages(_files(tensor, tensor.elements))
    if tensor.datatype not in {"UINT8", "FP32"}:
        raise WireError(
            f"expected {INPUT!r} as BYTES, UINT8 or FP32, got {tensor.datatype}: send files or "
            "pixels"
        )
    if len(tensor.shape) != 4 or tensor.shape[3] != _CHANNELS:
        raise WireError(
            f"expected pixels of shape [N, H, W, 3] in {INPUT!r}, got {list(tensor.shape)}"
        )
    return PixelImages(np.asarray(tensor.elements))


def _files(tensor: WireTensor, elements: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if len(tensor.shape) > 2 or tensor.shape[1:] not in {(), (1,)}:
        raise WireError(
            f"expected {BYTES} of shape [N] or [N, 1] in {INPUT!r}, got {list(tensor.shape)}"
        )
    content_type = tensor.parameters.get("content_type")
    if content_type == _BASE64:
        return tuple(decode_base64(element, f"{INPUT!r}") for element in elements)
    if content_type is not None:
        raise WireError(f"expected content_type {_BASE64!r} or none, got {content_type!r:.40}")
    if tensor.from_text:
        raise WireError(
            f"expected base64 and the parameter content_type {_BASE64!r} where {BYTES} are sent as "
            "JSON, got no content_type: declare it, or send binary data"
        )
    return elements


def decode_base64(text: bytes, name: str) -> bytes:
    """The bytes behind base64 text of the standard alphabet.

    Raises:
        WireError: it is not base64.

    Example:
        >>> decode_base64(b"aGk=", "image")
        b'hi'
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError(f"expected base64 in {name}, got other text: encode the bytes") from error
