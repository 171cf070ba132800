from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from gatekeeper.errors import ImageError
from gatekeeper.images.containers import check_png_rows, read_container, sniff


def _bytes(kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (7, 5), (10, 20, 30)).save(buffer, kind, **options)
    return buffer.getvalue()


def _png_of(pixels: bytes, width: int, height: int, *, text_chunks: int = 0) -> bytes:
    """A grey PNG of these rows, each with its filter byte."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    more = chunk(b"tEXt", b"k\0v") * text_chunks
    data = chunk(b"IDAT", zlib.compress(pixels, 9))
    return b"\x89PNG\r\n\x1a\n" + header + more + data + chunk(b"IEND", b"")


def _reason(data: bytes, kind: str) -> str:
    with pytest.raises(ImageError) as caught:
        read_container(data, kind)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_frame_is_read_from_the_header(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    container = read_container(_bytes(kind, exif=exif), kind)
    assert (container.format, container.width, container.height) == (kind, 7, 5)
    assert (container.frames, container.orientation) == (1, 6)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_metadata_do_not_reach_the_decoder(kind):
    exif = Image.Exif()
    exif[0x010E] = "a description"
    data = _bytes(kind, exif=exif, icc_profile=b"a profile" * 9)
    picture = read_container(data, kind).picture
    assert b"a description" in data
    assert b"a description" not in picture
    assert b"a profile" not in picture
    assert Image.open(io.BytesIO(picture)).getpixel((3, 3)) == pytest.approx((10, 20, 30), abs=2)


def test_frames_of_animations_are_counted():
    others = [Image.new("RGB", (7, 5), (200, shade, 0)) for shade in (50, 150)]
    for kind in ("PNG", "WEBP"):
        data = _bytes(kind, save_all=True, append_images=others)
        assert read_container(data, kind).frames == 3


def test_formats_are_told_by_their_first_bytes():
    assert [sniff(_bytes(kind)) for kind in ("JPEG", "PNG", "WEBP", "GIF")] == [
        "JPEG",
        "PNG",
        "WEBP",
        None,
    ]


def test_fill_bytes_between_jpeg_segments_are_legal():
    data = _bytes("JPEG")
    at = data.index(b"\xff\xdb")
    filled = data[:at] + b"\xff\xff\xff" + data[at:]
    assert read_container(filled, "JPEG").picture == read_container(data, "JPEG").picture


@pytest.mark.parametrize("middle", [b"\x00\x10", b"\xff\xd8", b"\xff\xe0\x00\x01", b"\xff\x01\0\0"])
def test_broken_jpeg_segments_are_refused(middle):
    data = _bytes("JPEG")
    with pytest.raises(ImageError) as caught:
        read_container(data[:2] + middle + data[2:], "JPEG")
    assert caught.value.reason == "corrupt"


def test_a_complete_png_passes_the_check_of_its_rows():
    picture = read_container(_bytes("PNG"), "PNG").picture
    check_png_rows(picture)
    taller = bytearray(picture)
    taller[23] += 1
    with pytest.raises(ImageError):
        check_png_rows(bytes(taller))


@pytest.mark.parametrize("extra", range(0, 2049, 128))
def test_rows_that_end_just_behind_a_full_buffer_are_all_counted(extra: int) -> None:
    width = 2**18 + extra - 1
    check_png_rows(_png_of(bytes(width + 1), width, 1))
    with pytest.raises(ImageError):
        check_png_rows(_png_of(bytes(width), width, 1))


def test_files_of_far_too_many_parts_are_refused() -> None:
    few = _png_of(bytes(6), 5, 1, text_chunks=32_765)  # 32,768 with IHDR, IDAT and IEND
    assert read_container(few, "PNG").width == 5
    assert _reason(_png_of(bytes(6), 5, 1, text_chunks=32_766), "PNG") == "too_many_parts"
    jpeg = _bytes("JPEG")
    comments = b"\xff\xfe\0\2" * 40_000
    assert _reason(jpeg[:2] + comments + jpeg[2:], "JPEG") == "too_many_parts"
    chunks = b"VP8X" + struct.pack("<I", 10) + bytes(10) + (b"ABCD" + bytes(4)) * 40_000
    webp = b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks
    assert _reason(webp, "WEBP") == "too_many_parts"


def test_a_jpeg_of_endless_passes_is_refused() -> None:
    data = _bytes("JPEG", progressive=True)
    scans = data.count(b"\xff\xda")
    assert 2 <= scans <= 20
    last = data[data.rindex(b"\xff\xda") : -2]
    assert read_container(data[:-2] + last * (101 - scans) + data[-2:], "JPEG").width == 7
    assert _reason(data[:-2] + last * (102 - scans) + data[-2:], "JPEG") == "too_many_parts"
    # An end that is none, in a comment, hides nothing.
    hidden = data[:-2] + b"\xff\xfe\0\4\xff\xd9" + last * 200 + data[-2:]
    assert _reason(hidden, "JPEG") == "too_many_parts"


def test_a_megabyte_of_fill_bytes_is_skipped() -> None:
    data = _bytes("JPEG")
    at = data.index(b"\xff\xdb")
    filled = data[:at] + b"\xff" * 1_000_000 + data[at:]
    assert read_container(filled, "JPEG").picture == read_container(data, "JPEG").picture
