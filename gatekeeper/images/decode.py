"""Untrusted bytes to an image, or a refusal with a stable reason."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from torch import Tensor

from gatekeeper.errors import ImageError, InputError
from gatekeeper.images.containers import Container, check_png_rows, read_container, sniff

DecodeReason = Literal[
    "empty",
    "too_large",
    "unsupported_format",
    "truncated",
    "corrupt",
    "animated",
    "too_many_parts",
    "too_many_pixels",
    "too_long_side",
    "extreme_aspect",
]
DECODE_REASONS: frozenset[str] = frozenset(get_args(DecodeReason))
"""Every ``ImageError.reason`` that :func:`decode_image` can raise.

``empty`` no bytes; ``too_large`` too many bytes; ``unsupported_format`` not an allowed format;
``truncated`` the file ends early; ``corrupt`` the file contradicts itself; ``animated`` more than
one frame; ``too_many_parts`` more segments, chunks or scans than a picture needs;
``too_many_pixels``, ``too_long_side``, ``extreme_aspect`` the header declares a picture
beyond the limits.
"""

# The decoder classes are used directly: `Image.open` consults a registry that any other module can
# extend, and warns about large images through a global setting.
_DECODERS: dict[str, Callable[[BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
}

# All that Pillow is known to raise on hostile files; Warning for those who turn them into errors.
_PILLOW_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """What is accepted; everything is checked before a pixel is decoded.

    Attributes:
        max_bytes: Largest file.
        max_pixels: Largest product of width and height.
        max_side: Longest side, in pixels.
        max_aspect: Largest ratio of the longer to the shorter side.
        formats: Allowed formats, from ``"JPEG"``, ``"PNG"`` and ``"WEBP"``.

    Raises:
        InputError: a limit is below 1 or a format is not known.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 25_000_000
    max_side: int = 16_384
    max_aspect: float = 100.0
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP")

    def __post_init__(self) -> None:
        """Refuse limits that nothing can meet."""
        if min(self.max_bytes, self.max_pixels, self.max_side, self.max_aspect) < 1:
            raise InputError(f"every decoding limit must be at least 1, got {self}")
        unknown = set(self.formats) - set(_DECODERS)
        if unknown or not self.formats:
            raise InputError(
                f"formats must be some of {', '.join(_DECODERS)}, got {list(self.formats)}"
            )


DEFAULT_LIMITS = DecodeLimits()

_ROWS_AT_ONCE = 64


def decode_image(data: bytes, *, limits: DecodeLimits = DEFAULT_LIMITS) -> Tensor:
    """Decode one still image from untrusted bytes.

    See :func:`decode_pixels` for what is accepted and how modes are turned into RGB.

    Args:
        data: A whole JPEG, PNG or WebP file.
        limits: What to refuse.

    Returns:
        Shape (3, H, W), float32, RGB, multiples of 1/255 in [0, 1], upright.

    Raises:
        ImageError: the bytes are refused; ``reason`` is one of :data:`DECODE_REASONS`.
        InputError: ``data`` is not bytes.
    """
    pixels = decode_pixels(data, limits=limits)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div_(255)


def decode_pixels(data: bytes, *, limits: DecodeLimits = DEFAULT_LIMITS) -> npt.NDArray[np.uint8]:
    """Decode one still image to 8-bit pixels.

    Grey is repeated to three channels, palettes are looked up, transparency is laid over white,
    CMYK is converted without a colour profile, 16 bits are rounded to 8. Embedded profiles and
    gamma are ignored: values are taken as they are stored. The EXIF orientation is applied; one
    that makes no sense is ignored. PNG carries checksums; damage within the compressed pixels of
    a JPEG or WebP can go unseen.

    Args:
        data: A whole JPEG, PNG or WebP file.
        limits: What to refuse.

    Returns:
        Shape (H, W, 3), uint8, RGB, upright, owned by the caller.

    Raises:
        ImageError: the bytes are refused; ``reason`` is one of :data:`DECODE_REASONS`.
        InputError: ``data`` is not bytes.
    """
    container = _admit(data, limits)
    try:
        pixels = _decode(container)
    except _PILLOW_FAILURES as error:
        cut = "truncated" in str(error)
        raise ImageError(
            "truncated" if cut else "corrupt",
            f"expected an intact {container.format} file, got one that "
            f"{'ends early' if cut else 'cannot be decoded'}: send it again",
        ) from error
    if pixels.shape != (container.height, container.width, 3):
        raise ImageError(
            "corrupt",
            f"expected the {container.width}×{container.height} pixels of the header, got "
            f"{pixels.shape[1]}×{pixels.shape[0]}",
        )
    return np.array(_upright(pixels, container.orientation), order="C")


def _admit(data: bytes, limits: DecodeLimits) -> Container:
    if not isinstance(data, bytes):
        raise InputError(f"expected the bytes of an image file, got {type(data).__name__}")
    if not data:
        raise ImageError("empty", "expected an image file, got no bytes")
    if len(data) > limits.max_bytes:
        raise ImageError(
            "too_large",
            f"expected at most {limits.max_bytes} bytes, got {len(data)}: send a smaller file",
        )
    kind = sniff(data)
    if kind is None or kind not in limits.formats:
        raise ImageError(
            "unsupported_format",
            f"expected one of {', '.join(limits.formats)}, got {kind or 'another format'}",
        )
    container = read_container(data, kind)
    _check_size(container, limits)
    if kind == "PNG":
        check_png_rows(container.picture)
    return container


def _check_size(container: Container, limits: DecodeLimits) -> None:
    width, height = container.width, container.height
    if width < 1 or height < 1:
        raise ImageError("corrupt", f"expected a picture, got one of {width}×{height} pixels")
    if container.frames > 1:
        raise ImageError("animated", f"expected one frame, got {container.frames}: send one still")
    if max(width, height) > limits.max_side:
        raise ImageError(
            "too_long_side",
            f"expected sides of at most {limits.max_side} pixels, got {width}×{height}",
        )
    if width * height > limits.max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"expected at most {limits.max_pixels} pixels, got {width}×{height}",
        )
    if max(width, height) > limits.max_aspect * min(width, height):
        raise ImageError(
            "extreme_aspect",
            f"expected sides of a ratio of at most {limits.max_aspect:g}, got {width}×{height}",
        )


def _decode(container: Container) -> npt.NDArray[np.uint8]:
    with _DECODERS[container.format](BytesIO(container.picture)) as image:
        # Checked before `load` too, which is where the memory is taken.
        if image.size != (container.width, container.height):
            raise ValueError("header and decoder disagree about the size")
        image.load()
        return _to_rgb(image)


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    if image.mode.startswith("I"):
        return _in_strips(np.asarray(image), _eight_bits)
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB"))
    return _in_strips(np.asarray(image.convert("RGBA")), _over_white)


def _in_strips(
    source: npt.NDArray[Any], convert: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> npt.NDArray[np.uint8]:
    """Converted strip by strip: wide numbers of all pixels at once would take ten times the image.

    Args:
        source: Shape (H, W) or (H, W, C).
        convert: From some of its rows to values in 0…255 that fit (rows, W, 3).
    """
    height, width = source.shape[:2]
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _ROWS_AT_ONCE):
        pixels[top : top + _ROWS_AT_ONCE] = convert(source[top : top + _ROWS_AT_ONCE])
    return pixels


def _eight_bits(levels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return ((levels.astype(np.uint32) + 128) // 257)[:, :, None]


def _over_white(strip: npt.NDArray[Any]) -> npt.NDArray[Any]:
    wide = strip.astype(np.uint16)  # the largest sum is 255 · 255 + 127
    colour, alpha = wide[:, :, :3], wide[:, :, 3:]
    return (colour * alpha + 255 * (255 - alpha) + 127) // 255


def _upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Undo an EXIF orientation: 2…4 flips and half turn, 5…8 the same after swapping the axes."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    flip_rows = orientation in {3, 4, 7, 8}
    flip_columns = orientation in {2, 3, 6, 7}
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
