"""What a JPEG, PNG or WebP file says about itself, read without decoding a pixel.

The size comes from here, so limits hold before any decoder allocates memory. For JPEG and PNG only
the parts that make up the picture are handed on: metadata, where most decoder surprises live
(EXIF, XMP, colour profiles, compressed text), never reach the decoder.

Source:
    ITU-T T.81 annex B (JPEG), PNG specification third edition §5 and §11, RFC 9649 (WebP),
    Exif 2.32 §4.6 (orientation).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from gatekeeper.errors import ImageError

T = TypeVar("T")

_MOST_PARTS = 32_768
"""Most segments or chunks: 20 MB in the smallest parts that encoders write are fewer, and each
costs the readers more time than its few bytes cost the sender."""
_MOST_SCANS = 100
"""Most further passes of a JPEG: encoders write some ten; each passes over the whole picture, even
where it is 30 bytes long."""

_PNG_START = b"\x89PNG\r\n\x1a\n"
_EXIF_START = b"Exif\0\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A picture's frame, as its header declares it.

    Attributes:
        format: ``"JPEG"``, ``"PNG"`` or ``"WEBP"``.
        width: Pixels, before the orientation is applied.
        height: Pixels, before the orientation is applied.
        frames: Number of pictures in an animation; 1 for a still picture.
        orientation: EXIF orientation 1…8; 1 where there is none or it makes no sense.
        picture: Bytes for the decoder.
    """

    format: str
    width: int
    height: int
    frames: int
    orientation: int
    picture: bytes


def sniff(data: bytes) -> str | None:
    """The format that the first bytes announce, or None."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(_PNG_START):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return None


def read_container(data: bytes, kind: str) -> Container:
    """Read the frame of ``data``, whose format :func:`sniff` has found to be ``kind``.

    Raises:
        ImageError: the file ends early (``truncated``), contradicts itself (``corrupt``), is of
            a variety that cannot be decoded (``unsupported_format``) or is made of far more parts
            than a picture needs (``too_many_parts``).
    """
    return {"JPEG": _read_jpeg, "PNG": _read_png, "WEBP": _read_webp}[kind](data)


def _truncated(kind: str) -> ImageError:
    return ImageError(
        "truncated", f"expected a complete {kind} file, got one that ends early: send it again"
    )


def _corrupt(kind: str, what: str) -> ImageError:
    return ImageError("corrupt", f"expected an intact {kind} file, got one with {what}")


def _counted(parts: Iterator[T], kind: str) -> Iterator[T]:
    """The same, as long as they are not too many."""
    for number, part in enumerate(parts):
        if number >= _MOST_PARTS:
            raise _too_many(kind, _MOST_PARTS, "parts")
        yield part


def _too_many(kind: str, most: int, what: str) -> ImageError:
    return ImageError(
        "too_many_parts",
        f"expected a {kind} file of at most {most} {what}, got more: save the picture again",
    )


# --- JPEG ---------------------------------------------------------------------------------------

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_APP1 = 0xE1
# Tables, frames, restart interval, and the two application segments that change colours.
_JPEG_PICTURE = _START_OF_FRAME | {0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xEE}
_SAMPLE_BITS = 8
_FILL = re.compile(b"\xff*")


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment; start is that of its FF byte, up to the first scan."""
    at = 2
    while True:
        start = at
        at = _end_of_fill(data, at)
        if at + 3 > len(data):
            raise _truncated("JPEG")
        if at == start:
            raise _corrupt("JPEG", "a broken list of segments")
        marker, length = data[at], int.from_bytes(data[at + 1 : at + 3], "big")
        end = at + 1 + length
        if length < 2 or marker < 0xC0 or 0xD0 <= marker <= 0xD9:
            raise _corrupt("JPEG", "a broken list of segments")
        if end > len(data):
            raise _truncated("JPEG")
        # Fill bytes before the marker are legal; one is enough for the decoder.
        yield marker, at - 1, end
        if marker == _START_OF_SCAN:
            return
        at = end


def _end_of_fill(data: bytes, at: int) -> int:
    found = _FILL.match(data, at)
    return at if found is None else found.end()


def _read_jpeg(data: bytes) -> Container:
    kept = [data[:2]]
    size: tuple[int, int] | None = None
    exif = b""
    for marker, start, end in _counted(_jpeg_segments(data), "JPEG"):
        body = data[start + 4 : end]
        if marker in _START_OF_FRAME:
            size = _jpeg_size(body, size)
        if marker == _APP1 and body.startswith(_EXIF_START) and not exif:
            exif = body
        if marker in _JPEG_PICTURE:
            kept.append(data[start:end])
        if marker == _START_OF_SCAN:
            _check_scans(data, end)
            kept.append(data[start:])
    if size is None:
        raise _corrupt("JPEG", "no frame before its first scan")
    return Container(
        format="JPEG",
        width=size[0],
        height=size[1],
        frames=1,
        orientation=_orientation(exif),
        picture=b"".join(kept),
    )


def _check_scans(data: bytes, at: int) -> None:
    """Refuse a JPEG without an end, or of endless passes, behind the header of its first scan."""
    # Inside a scan FF is always followed by 00 or a restart: FF D9 is the true end.
    if data.find(b"\xff\xd9", at) < 0:
        raise _truncated("JPEG")
    # Looked for up to the last byte: an FF D9 inside a table could hide those behind it.
    if data.count(b"\xff\xda", at) > _MOST_SCANS:
        raise _too_many("JPEG", _MOST_SCANS, "further scans")


def _jpeg_size(body: bytes, earlier: tuple[int, int] | None) -> tuple[int, int]:
    if earlier is not None or len(body) < 6:
        raise _corrupt("JPEG", "a frame header that is short or repeated")
    if body[0] != _SAMPLE_BITS:
        raise ImageError(
            "unsupported_format", f"expected a JPEG of 8 bits per sample, got one of {body[0]}"
        )
    return int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")


# --- PNG ----------------------------------------------------------------------------------------

_PNG_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk up to and including IEND; a picture chunk's sum is true."""
    at = len(_PNG_START)
    name = b""
    while name != b"IEND":
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            raise _truncated("PNG")
        name = data[at + 4 : at + 8]
        checksum = int.from_bytes(data[end - 4 : end], "big")
        if name in _PNG_PICTURE and zlib.crc32(data[at + 4 : end - 4]) != checksum:
            raise _corrupt("PNG", "a wrong checksum")
        yield name, at, end
        at = end


def _read_png(data: bytes) -> Container:
    kept = [data[:8]]
    exif = b""
    frames = 1
    for name, start, end in _counted(_png_chunks(data), "PNG"):
        body = data[start + 8 : end - 4]
        if (name == b"IHDR") != (len(kept) == 1) or (name == b"IHDR" and len(body) != 13):
            raise _corrupt("PNG", "a header that is missing, repeated or of the wrong length")
        if name == b"eXIf":
            exif = body
        if name == b"acTL":
            frames = int.from_bytes(body[:4], "big")
        if name in _PNG_PICTURE:
            kept.append(data[start:end])
    header = kept[1][8:]
    return Container(
        format="PNG",
        width=int.from_bytes(header[:4], "big"),
        height=int.from_bytes(header[4:8], "big"),
        frames=frames,
        orientation=_orientation(exif),
        picture=b"".join(kept),
    )


# Samples per pixel by colour type, and the passes of interlacing: first column and row, steps.
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_PACKED_AT_ONCE = 1 << 16
_UNPACKED_AT_ONCE = 1 << 18


def check_png_rows(picture: bytes) -> None:
    """Refuse a PNG that packs fewer rows than its header promises: decoders show them as black.

    Args:
        picture: Of a :class:`Container` whose size is within the limits.

    Raises:
        ImageError: rows are missing, or what is packed cannot be unpacked (``corrupt``).
    """
    promised = _png_promise(picture[16:29])
    unpacker = zlib.decompressobj()
    unpacked = 0
    for packed in _packed(picture):
        try:
            unpacked += _count(unpacker, packed, promised - unpacked)
        except zlib.error as error:
            raise _corrupt("PNG", "pixels that cannot be unpacked") from error
        if unpacked >= promised:
            return
    raise _corrupt("PNG", "fewer rows than its header promises")


def _packed(picture: bytes) -> Iterator[bytes]:
    """The compressed pixels in small pieces, as what is not yet unpacked is copied each time."""
    for name, start, end in _png_chunks(picture):
        if name == b"IDAT":
            first, last = start + 8, end - 4
            for at in range(first, last, _PACKED_AT_ONCE):
                yield picture[at : min(at + _PACKED_AT_ONCE, last)]


def _count(unpacker: zlib._Decompress, packed: bytes, most: int) -> int:
    """How many bytes a piece unpacks to; counting ends soon after ``most``."""
    count = 0
    while packed and count < most:
        count += len(unpacker.decompress(packed, _UNPACKED_AT_ONCE))
        packed = unpacker.unconsumed_tail
    return count


def _png_promise(header: bytes) -> int:
    """Bytes of all rows, each with its filter byte."""
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, colour, interlaced = header[8], header[9], header[12]
    if colour not in _PNG_SAMPLES:
        raise _corrupt("PNG", f"the unknown colour type {colour}")
    bits = depth * _PNG_SAMPLES[colour]
    promised = 0
    for left, top, across, down in _PNG_PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -((left - width) // across), -((top - height) // down)
        if columns > 0 and rows > 0:
            promised += rows * (1 + (columns * bits + 7) // 8)
    return promised


# --- WebP ---------------------------------------------------------------------------------------


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise _truncated("WebP")
    at = 12
    while at + 8 <= end:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            raise _truncated("WebP")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2  # chunks are padded to even lengths


def _read_webp(data: bytes) -> Container:
    size: tuple[int, int] | None = None
    exif = b""
    frames = 0
    for name, body in _counted(_webp_chunks(data), "WebP"):
        if size is None:
            size = _webp_size(name, body)
        if name == b"EXIF":
            exif = body
        frames += name == b"ANMF"
    if size is None:
        raise _corrupt("WebP", "no picture in it")
    return Container(
        format="WEBP",
        width=size[0],
        height=size[1],
        frames=max(1, frames),
        orientation=_orientation(exif),
        picture=data,
    )


def _webp_size(name: bytes, body: bytes) -> tuple[int, int]:
    """Width and height from the first chunk, which is one of three kinds."""
    if name == b"VP8X" and len(body) >= 10:
        return (
            int.from_bytes(body[4:7], "little") + 1,
            int.from_bytes(body[7:10], "little") + 1,
        )
    if name == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) >= 10:
        return (
            int.from_bytes(body[6:8], "little") & 0x3FFF,
            int.from_bytes(body[8:10], "little") & 0x3FFF,
        )
    raise _corrupt("WebP", "a header that cannot be read")


# --- EXIF ---------------------------------------------------------------------------------------

_ORIENTATION_TAG = 0x0112
_SHORT = 3


def _orientation(exif: bytes) -> int:
    """Orientation from EXIF bytes; 1 (upright) where they are absent or make no sense."""
    tiff = exif.removeprefix(_EXIF_START)
    if tiff[:4] == b"II*\0":
        order = "little"
    elif tiff[:4] == b"MM\0*":
        order = "big"
    else:
        return 1

    def number(at: int, length: int) -> int:
        # A slice beyond the end is empty, and empty bytes are 0: nothing here can raise.
        return int.from_bytes(tiff[at : at + length], order)  # type: ignore[arg-type]

    directory = number(4, 4)
    for entry in range(number(directory, 2)):
        at = directory + 2 + 12 * entry
        if number(at, 2) == _ORIENTATION_TAG:
            known = number(at + 2, 2) == _SHORT and 1 <= number(at + 8, 2) <= 8
            return number(at + 8, 2) if known else 1
    return 1
