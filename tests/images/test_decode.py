from __future__ import annotations

import io
import re
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps, PngImagePlugin

import gatekeeper
from gatekeeper.errors import ImageError, InputError
from gatekeeper.images import DECODE_REASONS, DecodeLimits, decode_image, decode_pixels

FORMATS = ("JPEG", "PNG", "WEBP")


def _photo(height: int = 24, width: int = 36) -> Image.Image:
    """A picture without any symmetry."""
    rows, columns = np.mgrid[:height, :width]
    planes = [rows * 255 // height, columns * 255 // width, (rows * columns) % 256]
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))


def _bytes(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _lossless(image: Image.Image, kind: str, **options) -> bytes:
    return _bytes(image, kind, **({"lossless": True} if kind == "WEBP" else {}), **options)


def _reason(data: bytes, **limits) -> str:
    with pytest.raises(ImageError) as caught:
        decode_image(data, limits=DecodeLimits(**limits))
    assert caught.value.reason in DECODE_REASONS
    return caught.value.reason


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
    return start + b"".join(more) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


# --- what is accepted ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_lossless_picture_comes_back_exactly(kind):
    photo = _photo()
    image = decode_image(_lossless(photo, kind))
    assert image.shape == (3, 24, 36)
    assert image.dtype == torch.float32
    assert torch.equal(image, torch.from_numpy(np.array(photo)).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_agrees_with_pillow(options):
    data = _bytes(_photo(), "JPEG", quality=90, **options)
    assert np.array_equal(decode_pixels(data), np.asarray(Image.open(io.BytesIO(data))))


def test_grey_is_repeated():
    grey = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20)
    for kind in FORMATS[:2]:
        pixels = decode_pixels(_bytes(grey, kind))
        assert np.array_equal(pixels[..., 0], pixels[..., 2])
    assert np.array_equal(decode_pixels(_bytes(grey))[..., 1], np.asarray(grey))


def test_one_bit_is_black_and_white():
    bits = Image.fromarray(np.array([[True, False], [False, True]]))
    assert decode_pixels(_bytes(bits))[..., 0].tolist() == [[255, 0], [0, 255]]


def test_a_palette_is_looked_up():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert decode_pixels(_bytes(image)).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_a_transparent_colour_of_a_palette_becomes_white():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    for transparent in (0, b"\x00\xff"):
        pixels = decode_pixels(_bytes(image, transparency=transparent))
        assert pixels.tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_alpha_is_laid_over_white(kind):
    over = np.array([[[0, 0, 0, 255], [0, 0, 0, 51], [200, 100, 50, 0]]], dtype=np.uint8)
    pixels = decode_pixels(_lossless(Image.fromarray(over), kind, **{"exact": True}))
    # 51/255 is a fifth of black over white: 204. Nothing of a fully transparent pixel is seen.
    assert pixels.tolist() == [[[0, 0, 0], [204, 204, 204], [255, 255, 255]]]


def test_grey_with_alpha_is_laid_over_white():
    over = Image.fromarray(np.array([[[100, 255], [100, 0]]], dtype=np.uint8), "LA")
    assert decode_pixels(_bytes(over))[..., 0].tolist() == [[100, 255]]


def test_sixteen_bits_are_rounded_to_eight():
    # 257 levels of 16 bits make one of 8: 128 rounds down, 129 up.
    values = [0, 128, 129, 257 * 77, 65535]
    rows = b"\0" + struct.pack(">5H", *values)
    assert decode_pixels(_png(5, 1, 16, 0, rows))[0, :, 0].tolist() == [0, 0, 1, 77, 255]


def test_sixteen_bit_colour_is_accepted():
    rows = b"\0" + struct.pack(">3H", 0, 257 * 100, 65535)
    assert decode_pixels(_png(1, 1, 16, 2, rows)).tolist() == [[[0, 100, 255]]]


def test_cmyk_is_converted_without_a_profile():
    inks = Image.fromarray(np.full((8, 8, 4), (0, 255, 255, 0), dtype=np.uint8), "CMYK")
    pixels = decode_pixels(_bytes(inks, "JPEG", quality=100)).astype(int)
    assert np.abs(pixels - [255, 0, 0]).max() <= 3


def test_the_result_belongs_to_the_caller():
    for kind in FORMATS:
        pixels = decode_pixels(_bytes(_photo(), kind))
        assert pixels.flags.writeable
        assert pixels.flags.c_contiguous


def test_metadata_and_trailing_bytes_do_not_matter():
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a" * 5000, zip=True)
    assert np.array_equal(decode_pixels(_bytes(_photo(), pnginfo=text)), np.asarray(_photo()))
    for kind in FORMATS:
        data = _bytes(_photo(), kind)
        assert np.array_equal(decode_pixels(data + b"\0more"), decode_pixels(data))


def test_a_multi_picture_jpeg_gives_its_main_picture():
    data = _bytes(_photo(), "MPO", save_all=True, append_images=[_photo(12, 12)])
    assert decode_pixels(data).shape == (24, 36, 3)


# --- orientation --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_gives_what_pillow_gives(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _lossless(_photo(), kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.array_equal(decode_pixels(data), np.asarray(expected))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_is_stored_turned_comes_back_upright(orientation):
    # The inverse of what the EXIF standard asks the viewer to do, written out.
    undone = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: np.rot90(a, 2),
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    upright = np.asarray(_photo())
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undone[orientation](upright)))
    assert np.array_equal(decode_pixels(_bytes(stored, exif=exif)), upright)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_of_exif_are_read(order):
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, 3, 0)
    mark = b"II" if order == "<" else b"MM"
    tiff = mark + struct.pack(f"{order}HIH", 42, 8, 1) + entry + b"\0" * 4
    upright, turned = (
        decode_pixels(_bytes(_photo(), "JPEG", **options))
        for options in ({}, {"exif": b"Exif\0\0" + tiff})
    )
    assert np.array_equal(turned, upright[::-1, ::-1])


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 99, 0),
        b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 0, 0),
        b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 2, 9, 1 << 30),
    ],
)
def test_an_orientation_that_makes_no_sense_is_ignored(exif):
    plain = _bytes(_photo(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    assert np.array_equal(decode_pixels(plain[:2] + segment + plain[2:]), decode_pixels(plain))


# --- what is refused ----------------------------------------------------------------------------


def test_no_bytes_are_refused():
    assert _reason(b"") == "empty"


def test_too_many_bytes_are_refused_before_they_are_looked_at():
    assert _reason(b"\0" * 101, max_bytes=100) == "too_large"
    data = _bytes(_photo())
    assert decode_image(data, limits=DecodeLimits(max_bytes=len(data))).shape == (3, 24, 36)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "ICO", "JPEG2000", "AVIF"])
def test_other_formats_are_refused(kind):
    assert _reason(_bytes(_photo(), kind)) == "unsupported_format"


@pytest.mark.parametrize(
    "data", [b"hello", b"<svg/>", b"\x89PNG", b"RIFF\0\0\0\0WAVE", b"\xff\xd8"]
)
def test_things_that_are_no_image_are_refused(data):
    assert _reason(data) == "unsupported_format"


def test_a_format_can_be_left_out():
    assert _reason(_bytes(_photo(), "WEBP"), formats=("JPEG", "PNG")) == "unsupported_format"


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("tenths", range(1, 10))
def test_a_file_that_ends_early_is_refused_even_where_pillow_is_told_not_to_mind(
    monkeypatch, kind, tenths, lenient
):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    data = _bytes(_photo(64, 64), kind)
    assert _reason(data[: len(data) * tenths // 10]) == "truncated"


def test_a_jpeg_with_a_complete_thumbnail_can_still_end_early():
    thumbnail = b"Exif\0\0" + _bytes(_photo(8, 8), "JPEG")
    plain = _bytes(_photo(64, 64), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    data = plain[:2] + segment + plain[2:]
    assert decode_pixels(data).shape == (64, 64, 3)
    assert _reason(data[:-40]) == "truncated"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused(kind):
    frames = [_photo(), ImageOps.invert(_photo())]
    data = _bytes(frames[0], kind, save_all=True, append_images=frames[1:])
    assert _reason(data) == "animated"


def test_the_size_is_judged_from_the_header_alone():
    # No pixel data: a decoder that began would find a corrupt file.
    assert _reason(_png(5001, 5001, 8, 2, b"")) == "too_many_pixels"
    assert _reason(_png(50_000, 100, 8, 2, b"")) == "too_long_side"
    assert _reason(_png(16_385, 1, 8, 2, b"")) == "too_long_side"
    assert _reason(_png(1_001, 10, 8, 2, b"")) == "extreme_aspect"
    assert _reason(_png(10, 1_001, 8, 2, b"")) == "extreme_aspect"
    assert _reason(_png(100_000, 100_000, 8, 2, b"")) == "too_long_side"
    assert _reason(_png(1000, 10, 8, 2, b"")) in {"truncated", "corrupt"}


@pytest.mark.parametrize("kind", FORMATS)
def test_limits_hold_for_every_format(kind):
    data = _lossless(_photo(24, 36), kind)
    assert _reason(data, max_pixels=24 * 36 - 1) == "too_many_pixels"
    assert _reason(data, max_side=35) == "too_long_side"
    assert _reason(data, max_aspect=1.49) == "extreme_aspect"
    exactly = DecodeLimits(max_pixels=24 * 36, max_side=36, max_aspect=1.5)
    assert decode_image(data, limits=exactly).shape == (3, 24, 36)


@pytest.mark.parametrize("quality", [80, 100])
def test_the_header_of_a_lossy_webp_is_read(quality):
    data = _bytes(_photo(24, 36), "WEBP", quality=quality)
    assert data[12:16] == b"VP8 "
    assert _reason(data, max_side=35) == "too_long_side"
    assert decode_pixels(data).shape == (24, 36, 3)


def test_a_picture_without_area_is_refused():
    assert _reason(_png(0, 5, 8, 2, b"")) == "corrupt"
    assert _reason(_png(5, 0, 8, 2, b"")) == "corrupt"


def test_a_png_with_a_wrong_checksum_is_refused():
    data = bytearray(_bytes(_photo()))
    data[data.index(b"IDAT") + 10] ^= 1
    assert _reason(bytes(data)) == "corrupt"


def test_a_png_with_too_few_rows_is_refused():
    assert _reason(_png(4, 4, 8, 0, b"\0abcd")) == "corrupt"
    assert _reason(_png(4, 4, 8, 0, b"\0abcd" * 4)[:-20]) == "truncated"
    assert decode_pixels(_png(4, 4, 8, 0, b"\0abcd" * 4)).shape == (4, 4, 3)
    assert _reason(_png(4, 4, 8, 0, b"\0abcd" * 3 + b"\0abc")) == "corrupt"


def test_a_png_whose_pixels_cannot_be_unpacked_is_refused():
    broken = _chunk(b"IDAT", b"not packed at all")
    assert _reason(_png(4, 4, 8, 0, b"", broken)) == "corrupt"
    assert _reason(_png(4, 4, 8, 5, b"\0abcd" * 4)) == "corrupt"


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 3), (8, 8), (9, 17)])
def test_an_interlaced_png_is_accepted_only_with_all_its_rows(size):
    # Pillow cannot write these, so the seven passes are laid out here, pixel by pixel.
    height, width = size
    pixels = np.arange(height * width, dtype=np.uint8).reshape(size)
    steps = [
        (slice(0, None, 8), slice(0, None, 8)),
        (slice(0, None, 8), slice(4, None, 8)),
        (slice(4, None, 8), slice(0, None, 4)),
        (slice(0, None, 4), slice(2, None, 4)),
        (slice(2, None, 4), slice(0, None, 2)),
        (slice(0, None, 2), slice(1, None, 2)),
        (slice(1, None, 2), slice(0, None, 1)),
    ]
    passes = [pixels[rows, columns] for rows, columns in steps]
    packed = b"".join(b"\0" + row.tobytes() for part in passes for row in part if part.size)

    def interlaced(rows: bytes) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
        chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows))
        return b"\x89PNG\r\n\x1a\n" + chunks + _chunk(b"IEND", b"")

    assert np.array_equal(decode_pixels(interlaced(packed))[..., 0], pixels)
    assert _reason(interlaced(packed[:-1])) == "corrupt"


def test_a_png_whose_header_comes_twice_is_refused():
    header = struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0)
    assert _reason(_png(1, 1, 8, 0, b"\0a", _chunk(b"IHDR", header))) == "corrupt"


def test_compressed_text_is_never_unpacked():
    bomb = b"k\0\0" + zlib.compress(b"\0" * 70_000_000, 9)
    assert decode_pixels(_png(1, 1, 8, 0, b"\0a", _chunk(b"zTXt", bomb))).tolist() == [[[97] * 3]]


def test_a_jpeg_of_twelve_bits_is_refused():
    data = bytearray(_bytes(_photo(), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    assert _reason(bytes(data)) == "unsupported_format"


def test_a_jpeg_with_two_frames_is_refused():
    data = _bytes(_photo(), "JPEG")
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
    assert _reason(data[:at] + frame + data[at:]) == "corrupt"


def test_a_jpeg_without_a_frame_is_refused():
    data = _bytes(_photo(), "JPEG")
    at = data.index(b"\xff\xc0")
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    assert _reason(data[:at] + data[end:]) == "corrupt"


def test_a_webp_whose_frame_contradicts_its_canvas_is_refused():
    data = bytearray(_lossless(_photo(), "WEBP", exif=b"Exif\0\0II*\0"))
    assert data[12:16] == b"VP8X"
    data[24] -= 1
    assert _reason(bytes(data)) == "corrupt"


def test_something_that_is_not_bytes_is_refused():
    with pytest.raises(InputError, match="got str"):
        decode_image("photo.png")


@pytest.mark.parametrize(
    "limits", [{"max_bytes": 0}, {"max_aspect": 0.5}, {"formats": ("GIF",)}, {"formats": ()}]
)
def test_limits_that_nothing_can_meet_are_refused(limits):
    with pytest.raises(InputError, match="must be"):
        DecodeLimits(**limits)


def test_dangerous_parts_of_pillow_are_not_used():
    dangerous = re.compile(
        r"ImageMath|ImageShow|ImageFont|ImageGrab|EpsImagePlugin|MAX_IMAGE_PIXELS"
        r"|LOAD_TRUNCATED_IMAGES|\.show\(\)"
    )
    sources = sorted(Path(gatekeeper.__file__).parent.rglob("*.py"))
    assert len(sources) > 100
    assert [path.name for path in sources if dangerous.search(path.read_text())] == []
    opened = [path.name for path in sources if "Image.open(" in path.read_text()]
    assert set(opened) <= {"digital.py"}  # the JPEG that the corruption of this name just wrote


# --- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "bytes_per_pixel"),
    [
        (Image.new("RGBA", (1000, 1000), (9, 9, 9, 9)), 12),
        (Image.new("I;16", (1000, 1000)), 12),
        (Image.new("RGB", (1000, 1000)), 12),
    ],
)
def test_a_picture_of_a_few_bytes_does_not_take_many_times_its_pixels(image, bytes_per_pixel):
    data = _bytes(image)
    assert len(data) < 20_000
    tracemalloc.start()  # sees what NumPy and Python take; Pillow's own copy has 4 bytes a pixel
    try:
        decode_pixels(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < bytes_per_pixel * 1_000_000


@pytest.mark.parametrize("height", [63, 64, 65, 129])
def test_strips_meet_without_a_seam(height):
    rng = np.random.default_rng(0)
    over = rng.integers(0, 256, (height, 7, 4), dtype=np.uint8)
    colour, alpha = over[..., :3].astype(float), over[..., 3:].astype(float) / 255
    expected = np.floor(colour * alpha + 255 * (1 - alpha) + 127 / 255)
    pixels = decode_pixels(_bytes(Image.fromarray(over)))
    assert np.abs(pixels - expected).max() <= 1
    exact = (
        over[..., :3].astype(int) * over[..., 3:] + 255 * (255 - over[..., 3:].astype(int)) + 127
    )
    assert np.array_equal(pixels, exact // 255)
    levels = rng.integers(0, 65536, (height, 7), dtype=np.uint16)
    grey = decode_pixels(_bytes(Image.fromarray(levels)))
    assert np.array_equal(grey[..., 1], (levels.astype(int) + 128) // 257)


# --- whatever comes -----------------------------------------------------------------------------

_VALID = {
    "jpeg": _bytes(_photo(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0" + b"\1\0" * 8),
    "progressive": _bytes(_photo(), "JPEG", progressive=True),
    "png": _bytes(_photo()),
    "palette": _bytes(_photo().quantize(16), transparency=3),
    "alpha": _bytes(_photo().convert("LA")),
    "webp": _bytes(_photo(), "WEBP"),
    "lossless": _bytes(_photo(), "WEBP", lossless=True, exif=b"Exif\0\0II*\0"),
}


def _survives(data: bytes) -> None:
    try:
        image = decode_image(data)
    except ImageError as error:
        if error.reason not in DECODE_REASONS:
            raise AssertionError(f"undocumented reason {error.reason}") from error
    else:
        assert image.dtype == torch.float32
        assert 0 <= float(image.min()) <= float(image.max()) <= 1


@settings(deadline=None, max_examples=200)
@given(
    start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBPVP8 "]),
    rest=st.binary(max_size=300),
)
def test_random_bytes_raise_nothing_but_image_errors(start, rest):
    _survives(start + rest)


@settings(deadline=None, max_examples=300)
@given(
    name=st.sampled_from(sorted(_VALID)),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6),
    mend=st.booleans(),
)
def test_mutated_files_raise_nothing_but_image_errors(name, changes, mend):
    data = bytearray(_VALID[name])
    for position, value in changes:
        data[position % len(data)] = value
    _survives(_mended(bytes(data)) if mend else bytes(data))


def _mended(data: bytes) -> bytes:
    """The PNG with true checksums, so that the decoder itself gets to see what is wrong."""
    at, out = 8, data[:8]
    while data.startswith(b"\x89PNG") and at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        out += _chunk(data[at + 4 : at + 8], data[at + 8 : end - 4])
        at = end
    return out + data[at:]


@settings(deadline=None, max_examples=100)
@given(name=st.sampled_from(sorted(_VALID)), cut=st.floats(0, 1), tail=st.binary(max_size=40))
def test_cut_and_continued_files_raise_nothing_but_image_errors(name, cut, tail):
    data = _VALID[name]
    _survives(data[: int(len(data) * cut)] + tail)
