from __future__ import annotations

import io

import pytest
from PIL import Image

from gatekeeper.errors import ImageError
from gatekeeper.images.containers import check_png_rows, read_container, sniff


def _bytes(kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (7, 5), (10, 20, 30)).save(buffer, kind, **options)
    return buffer.getvalue()


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
