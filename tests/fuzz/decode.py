"""What the decoder of images must keep to, whatever the bytes: an image, or a documented reason."""

from __future__ import annotations

import struct
import zlib

from gatekeeper.errors import ImageError
from gatekeeper.images import DECODE_REASONS, DecodeLimits, decode_pixels
from tests.service.bad_images import bad_images

# Small, so that a fuzzer spends its time on ideas and not on pixels.
LIMITS = DecodeLimits(max_bytes=100_000, max_pixels=40_000, max_side=4096)
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST_SEED = 6000


def check(data: bytes) -> None:
    """Decode.

    Raises:
        AssertionError: the promise is broken.
        Exception: anything but an ImageError is a bug.
    """
    try:
        pixels = decode_pixels(data, limits=LIMITS)
    except ImageError as error:
        if error.reason not in DECODE_REASONS:
            raise AssertionError(f"undocumented reason {error.reason}") from error
        return
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert 0 < pixels.shape[0] * pixels.shape[1] <= LIMITS.max_pixels
    assert pixels.dtype == "uint8"


def seeds() -> list[bytes]:
    """Where a fuzzer begins: small files of every kind, good and bad."""
    return [case.data for case in bad_images() if len(case.data) < _LONGEST_SEED]


def mend(data: bytes) -> bytes:
    """The PNG with true checksums, so that what lies behind them is reached; others as they are."""
    if not data.startswith(_SIGNATURE):
        return data
    at, out = len(_SIGNATURE), _SIGNATURE
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            break
        body = data[at + 4 : end - 4]
        out += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        at = end
    return out + data[at:]
