"""Which images a tensor holds; nothing is guessed."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from gatekeeper.wire import EncodedImages, PixelImages, WireError, WireTensor, images_of


def tensor(datatype: str, elements: object, shape: tuple[int, ...], **more: object) -> WireTensor:
    return WireTensor(name="image", datatype=datatype, shape=shape, elements=elements, **more)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_files_as_binary_data(shape: tuple[int, ...]) -> None:
    images = images_of([tensor("BYTES", (b"one", b"two"), shape)], most=2)
    assert images == EncodedImages((b"one", b"two"))
    assert len(images) == 2


def test_files_as_base64() -> None:
    text = base64.b64encode(b"\x89PNG")
    declared = {"content_type": "base64"}
    images = images_of(
        [tensor("BYTES", (text,), (1,), parameters=declared, from_text=True)], most=2
    )
    assert images == EncodedImages((b"\x89PNG",))


@pytest.mark.parametrize("datatype", ["UINT8", "FP32"])
def test_pixels(datatype: str) -> None:
    kind = {"UINT8": np.uint8, "FP32": np.float32}[datatype]
    pixels = np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3).astype(kind)
    images = images_of([tensor(datatype, pixels, pixels.shape)], most=2)
    assert isinstance(images, PixelImages)
    assert len(images) == 2
    np.testing.assert_array_equal(images.pixels, pixels)
    assert images.pixels.dtype == kind


ZEROS = np.zeros((1, 2, 2, 3))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (tensor("BYTES", (b"a",) * 3, (3,)), "expected at most 2 images in a request, got 3"),
        (tensor("BYTES", (b"a",) * 2, (1, 2)), r"of shape \[N\] or \[N, 1\] in 'image', got"),
        (tensor("BYTES", (b"a",), (1, 1, 1)), "of shape"),
        (tensor("BYTES", (b"aGk=",), (1,), from_text=True), "got no content_type: declare it"),
        (tensor("BYTES", (b"a",), (1,), parameters={"content_type": "np"}), "got 'np'"),
        (tensor("BYTES", (b"a",), (1,), parameters={"content_type": "base64"}), "base64 in 'ima"),
        (tensor("BYTES", (b"a b=",), (1,), parameters={"content_type": "base64"}), "base64 in"),
        (tensor("BYTES", (b"\xff",), (1,), parameters={"content_type": "base64"}), "base64 in"),
        (tensor("FP64", ZEROS, (1, 2, 2, 3)), "as BYTES, UINT8 or FP32, got FP64"),
        (tensor("FP32", ZEROS, (1, 3, 2, 2)), r"pixels of shape \[N, H, W, 3\]"),
        (tensor("UINT8", ZEROS[0], (2, 2, 3)), r"pixels of shape \[N, H, W, 3\]"),
    ],
)
def test_what_is_refused(given: WireTensor, sentence: str) -> None:
    with pytest.raises(WireError, match=sentence):
        images_of([given], most=2)


def test_one_input_of_one_name() -> None:
    one = tensor("BYTES", (b"a",), (1,))
    other = WireTensor(name="input", datatype="BYTES", shape=(1,), elements=(b"a",))
    with pytest.raises(WireError, match="expected one input named 'image', got"):
        images_of([other], most=2)
    with pytest.raises(WireError, match="expected one input named 'image', got"):
        images_of([one, other], most=2)
