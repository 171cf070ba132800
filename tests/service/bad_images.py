"""Files that a hostile or broken client sends as images, and what must become of each.

Used by the tests of both protocols and by the benchmark of the service.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image

ACCEPTED = "accepted"


@dataclass(frozen=True)
class BadImage:
    """One file.

    Attributes:
        name: In words.
        data: The file.
        expected: Reasons of which one must be given; "accepted" where it must be decided.
    """

    name: str
    data: bytes
    expected: frozenset[str]


@cache
def bad_images() -> tuple[BadImage, ...]:
    """Every case; the same bytes each time."""
    groups = (_no_images, _noise, _truncated, _polyglots, _other_formats, _jpegs, _pngs, _webps)
    found = [
        BadImage(name, data, frozenset(expected.split()))
        for group in groups
        for name, data, expected in group()
    ]
    return tuple(found)


Cases = Iterator[tuple[str, bytes, str]]
"""Name, file, expected reasons between spaces."""


def photo(height: int = 40, width: int = 60) -> Image.Image:
    """A bright picture without any symmetry."""
    rows, columns = np.mgrid[:height, :width]
    planes = [200 + rows * 50 // height, 200 + columns * 50 // width, 200 + rows * columns % 50]
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file of a picture."""
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """A PNG chunk with a true checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int, height: int, rows: bytes, *more: bytes, depth: int = 8, colour: int = 0
) -> bytes:
    """A PNG of these rows, each with its filter byte, and more chunks before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + chunk(b"IEND", b"")


def _webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _no_images() -> Cases:
    yield "one byte", b"\0", "unsupported_format"
    yield "text", b"hello", "unsupported_format"
    yield "a signature and no more", b"\x89PNG\r\n\x1a\n", "truncated"
    yield "half a signature", b"\xff\xd8", "unsupported_format"
    yield "another RIFF", b"RIFF\x04\0\0\0WAVE", "unsupported_format"
    yield "a script", b"#!/bin/sh\nrm -rf /\n", "unsupported_format"


def _noise() -> Cases:
    noise = np.random.default_rng(0).bytes(5000)
    yield "random bytes", b"\0" + noise, "unsupported_format"
    yield "JPEG start, then noise", b"\xff\xd8\xff\xe0" + noise, "truncated corrupt"
    header = png(9, 9, b"")[:33]
    yield "PNG header, then noise", header + noise, "truncated corrupt"
    whole = b"RIFF" + struct.pack("<I", len(noise) + 8) + b"WEBPVP8 " + noise
    yield "WebP start, then noise", whole, "truncated corrupt"
    rows = header + chunk(b"IDAT", noise) + chunk(b"IEND", b"")
    yield "noise as the packed rows of a PNG", rows, "corrupt"


def _truncated() -> Cases:
    for kind in ("JPEG", "PNG", "WEBP"):
        data = saved(photo(), kind)
        for tenths in range(1, 10):
            cut = data[: len(data) * tenths // 10]
            yield f"{kind} cut at {tenths} tenths", cut, "truncated"
        yield f"{kind} without its last byte", data[:-1], "truncated"


def _polyglots() -> Cases:
    zipped = b"PK\x03\x04" + bytes(26) + b"a.txt" + b"PK\x05\x06" + bytes(18)
    script = b"<script>alert(1)</script><?php system($_GET[0]); ?>"
    yield "GIF and JavaScript", b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)", "unsupported_format"
    for kind in ("JPEG", "PNG", "WEBP"):
        yield f"{kind} and ZIP", saved(photo(), kind) + zipped, ACCEPTED
        yield f"PDF, then {kind}", b"%PDF-1.7\n" + saved(photo(), kind), "unsupported_format"
    yield "JPEG with a script as its comment", saved(photo(), "JPEG", comment=script), ACCEPTED
    text = chunk(b"tEXt", b"Comment\0" + script)
    yield "PNG with a script as text", png(2, 1, b"\0\xff\xff", text), ACCEPTED
    yield "HTML around a PNG", b"<html>" + saved(photo(), "PNG"), "unsupported_format"


def _other_formats() -> Cases:
    for kind in ("GIF", "BMP", "TIFF", "PPM", "ICO", "JPEG2000", "AVIF", "EPS", "PDF", "TGA"):
        yield kind, saved(photo(), kind), "unsupported_format"
    yield "float TIFF", saved(photo().convert("F"), "TIFF"), "unsupported_format"
    loop = b"II*\0\x08\0\0\0\0\0\x08\0\0\0"
    yield "TIFF whose directory follows itself", loop, "unsupported_format"
    yield "SVG", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported_format"
    yield "FITS", b"SIMPLE  =                    T" + bytes(2850), "unsupported_format"
    yield "PSD", b"8BPS\0\1" + bytes(20), "unsupported_format"
    yield "HEIF", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "unsupported_format"
    frame = b"\x2c" + bytes(4) + b"\1\0\1\0\0\2\2\x44\1\0"
    many = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 10_000 + b";"
    yield "GIF of 10,000 frames", many, "unsupported_format"


def _jpegs() -> Cases:
    plain = saved(photo(), "JPEG")
    yield "CMYK", saved(photo().convert("CMYK"), "JPEG"), ACCEPTED
    yield "YCCK", _ycck(), ACCEPTED
    yield "progressive", saved(photo(), "JPEG", progressive=True), ACCEPTED
    yield (
        "arithmetic code announced",
        plain.replace(b"\xff\xc0", b"\xff\xc9", 1),
        "corrupt accepted",
    )
    yield "lossless announced", plain.replace(b"\xff\xc0", b"\xff\xc3", 1), "corrupt accepted"
    at = plain.index(b"\xff\xc0")
    yield "12 bits", plain[: at + 4] + b"\x0c" + plain[at + 5 :], "unsupported_format"
    yield "0 lines", plain[: at + 5] + b"\0\0" + plain[at + 7 :], "corrupt"
    yield "0 columns", plain[: at + 7] + b"\0\0" + plain[at + 9 :], "corrupt"
    yield (
        "200 times as many lines",
        plain[: at + 5] + b"\x1f\x40" + plain[at + 7 :],
        "extreme_aspect",
    )
    yield "65,535 columns", plain[: at + 7] + b"\xff\xff" + plain[at + 9 :], "too_long_side"
    frame = plain[at : at + 2 + int.from_bytes(plain[at + 2 : at + 4], "big")]
    yield "two frames", plain[:at] + frame + plain[at:], "corrupt"
    exif = b"\xff\xe1\xff\xff" + b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(65_517)
    yield "EXIF of 64 KB", plain[:2] + exif + plain[2:], ACCEPTED
    for orientation in (0, 9, 65_535):
        yield f"orientation {orientation}", _turned(orientation), ACCEPTED
    profile = saved(photo(), "JPEG", icc_profile=b"no profile at all" * 5000)
    yield "a colour profile that is none", profile, ACCEPTED
    passes = saved(photo(), "JPEG", progressive=True)
    last = passes[passes.rindex(b"\xff\xda") : -2]
    yield "endless passes", passes[:-2] + last * 5000 + passes[-2:], "too_many_parts"
    yield "endless comments", plain[:2] + b"\xff\xfe\0\2" * 50_000 + plain[2:], "too_many_parts"
    yield "a megabyte of fill bytes", plain[:2] + b"\xff" * 1_000_000 + plain[2:], ACCEPTED


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(photo(), "JPEG", exif=exif)


def _ycck() -> bytes:
    data = saved(photo().convert("CMYK"), "JPEG")
    at = data.index(b"Adobe") + 11
    return data[:at] + b"\2" + data[at + 1 :]


def _pngs() -> Cases:
    for depth in (1, 2, 4, 8, 16):
        yield f"grey of {depth} bits", png(8, 1, b"\0" + b"\xff" * depth, depth=depth), ACCEPTED
    yield "palette with transparency", saved(photo().quantize(16), "PNG", transparency=3), ACCEPTED
    yield "grey with alpha", saved(photo().convert("LA"), "PNG"), ACCEPTED
    yield "colour with alpha", saved(photo().convert("RGBA"), "PNG"), ACCEPTED
    yield "1×1", png(1, 1, b"\0\xff"), ACCEPTED
    text = chunk(b"tEXt", b"k\0v") * 100_000
    yield "100,000 text chunks", png(1, 1, b"\0\xff", text), "too_many_parts"
    bomb = zlib.compress(bytes(50_000_000), 9)
    yield "a bomb as its profile", png(1, 1, b"\0\xff", chunk(b"iCCP", b"p\0\0" + bomb)), ACCEPTED
    yield "a bomb as its text", png(1, 1, b"\0\xff", chunk(b"zTXt", b"k\0\0" + bomb)), ACCEPTED
    yield "rows of another size", png(9, 9, bytes(10)), "corrupt"
    yield "a bomb as its rows", png(1, 1, bytes(50_000_000)), ACCEPTED
    white = b"\xff" * 6251
    yield "50,000×50,000, white", png(50_000, 50_000, white * 100, depth=1), "too_long_side"
    yield "16,000×16,000", png(16_000, 16_000, white, depth=1), "too_many_pixels"
    yield "1×100,000", png(1, 100_000, b"\0\xff" * 100_000), "too_long_side"
    yield "10×1,001", png(10, 1_001, b""), "extreme_aspect"
    yield "2³¹−1 wide", png(2**31 - 1, 1, b""), "too_long_side"
    yield "0×5", png(0, 5, b""), "corrupt"
    yield "5×0", png(5, 0, b""), "corrupt"
    yield "an unknown colour type", png(1, 1, b"\0\xff", colour=5), "corrupt"
    yield "0 bits", png(1, 1, b"\0\xff", depth=0), "corrupt"
    plain = saved(photo(), "PNG")
    at = plain.index(b"IDAT") + 10
    damaged = plain[:at] + bytes([plain[at] ^ 1]) + plain[at + 1 :]
    yield "a wrong checksum", damaged, "corrupt"
    taller = chunk(b"IHDR", struct.pack(">II", 60, 80) + plain[24:29])
    yield "twice as tall as it is", plain[:8] + taller + plain[33:], "corrupt"
    animation = chunk(b"acTL", struct.pack(">II", 10_000, 0))
    animation += chunk(b"fcTL", bytes(26)) * 10_000
    yield "animation of 10,000 frames", png(1, 1, b"\0\xff", animation), "animated"


def _webps() -> Cases:
    canvas = struct.pack("<I", 0x02) + b"\x09\0\0\x09\0\0"
    frame = (b"ANMF", bytes(16))
    many = _webp((b"VP8X", canvas), (b"ANIM", bytes(6)), *[frame] * 10_000)
    yield "WebP of 10,000 frames", many, "animated"
    yield "WebP without a picture", _webp(), "corrupt"
    yield "WebP of 16,384²", _webp((b"VP8X", bytes(4) + b"\xff\x3f\0\xff\x3f\0")), "too_many_pixels"
    wide = _webp((b"VP8X", bytes(4) + b"\xff\xff\xff\0\0\0"))
    yield "WebP 2²⁴ wide", wide, "too_long_side"
    data = bytearray(saved(photo(), "WEBP", lossless=True, exif=b"Exif\0\0II*\0"))
    data[24] -= 1
    yield "WebP frame larger than its canvas", bytes(data), "corrupt"
    yield (
        "WebP of endless chunks",
        _webp((b"VP8X", bytes(10)), *[(b"ABCD", b"")] * 50_000),
        ("too_many_parts"),
    )
    yield "WebP with alpha", saved(photo().convert("RGBA"), "WEBP"), ACCEPTED
