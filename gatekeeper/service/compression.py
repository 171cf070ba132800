"""Compressed bodies, unpacked no further than allowed."""

from __future__ import annotations

import zlib

from gatekeeper.service.errors import BodyTooLargeError, MalformedRequestError, MediaTypeError

# 15 is the largest window; 16 more asks for the gzip wrapper.
_WINDOWS = {"gzip": 15 + 16, "deflate": 15}


def unpack(data: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """The body behind a Content-Encoding.

    Args:
        data: As received.
        encoding: Value of the header; empty and "identity" stand for none.
        max_bytes: Most bytes that it may unpack to; no more than these are ever held.

    Raises:
        MediaTypeError: the encoding is neither gzip nor deflate.
        MalformedRequestError: the data are not of that encoding, end early or go on after the end.
        BodyTooLargeError: they unpack to more than allowed.

    Example:
        >>> unpack(zlib.compress(b"aaa"), "deflate", max_bytes=3)
        b'aaa'
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return data
    if name not in _WINDOWS:
        raise MediaTypeError("expected no Content-Encoding, gzip or deflate, got another: send so")
    unpacker = zlib.decompressobj(_WINDOWS[name])
    try:
        unpacked = unpacker.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise MalformedRequestError(
            f"expected a body in {name}, got one that cannot be unpacked: send it again"
        ) from error
    if len(unpacked) > max_bytes:
        raise BodyTooLargeError(
            f"expected a body of at most {max_bytes} bytes when unpacked, got more: send less"
        )
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedRequestError(
            f"expected a whole body in {name} and nothing after it, got another: send it again"
        )
    return unpacked
