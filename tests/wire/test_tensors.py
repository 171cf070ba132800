"""JSON and binary data to typed elements and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gatekeeper.wire import NUMERIC, WireError, WireTensor, join_bytes, numbers, split_bytes, texts
from gatekeeper.wire.tensors import from_binary, from_json, to_binary, to_json

SHAPES = arrays.array_shapes(max_dims=3, max_side=4)


@st.composite
def tensors(draw: st.DrawFn) -> WireTensor:
    datatype = draw(st.sampled_from(sorted(NUMERIC)))
    elements = draw(arrays.arrays(NUMERIC[datatype], draw(SHAPES)))
    return WireTensor(name="x", datatype=datatype, shape=elements.shape, elements=elements)


@given(tensors())
def test_binary_data_come_back(tensor: WireTensor) -> None:
    data = to_binary(tensor)
    assert len(data) == math.prod(tensor.shape) * NUMERIC[tensor.datatype].itemsize
    back = from_binary(data, tensor.datatype, tensor.shape, "x")
    np.testing.assert_array_equal(back, tensor.elements)


@given(tensors(), st.booleans())
def test_json_data_come_back_flat_and_nested(tensor: WireTensor, nested: bool) -> None:
    elements = np.asarray(tensor.elements)
    if tensor.datatype == "FP16":
        with pytest.raises(WireError, match="as binary"):
            from_json(elements.tolist(), "FP16", tensor.shape, "x")
    elif not np.isfinite(elements).all():
        with pytest.raises(WireError, match="not finite"):
            to_json(tensor)
    else:
        data: Any = elements.tolist() if nested else to_json(tensor)
        back = from_json(data, tensor.datatype, tensor.shape, "x")
        np.testing.assert_array_equal(back, elements)


def test_byte_order_by_hand() -> None:
    assert to_binary(numbers("x", "UINT16", [1, 0x0203])) == b"\x01\x00\x03\x02"
    assert to_binary(numbers("x", "FP32", [1.0])) == b"\x00\x00\x80\x3f"
    assert to_binary(texts("x", ["é"])) == b"\x02\x00\x00\x00\xc3\xa9"
    assert to_json(texts("x", ["é"])) == ["é"]


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_elements_of_any_length_come_back(elements: list[bytes]) -> None:
    data = join_bytes(elements)
    assert split_bytes(data, "x", most=5) == tuple(elements)
    if elements:
        with pytest.raises(WireError, match="bytes more"):
            split_bytes(data, "x", most=len(elements) - 1)
        with pytest.raises(WireError, match="got the end of the data before"):
            split_bytes(data[:-1] if elements[-1] else data[:-4] + b"\1\0\0\0", "x", most=5)


@pytest.mark.parametrize(
    ("data", "datatype", "shape", "sentence"),
    [
        ([0, 256], "UINT8", (2,), "within the range of UINT8"),
        ([-1], "UINT64", (1,), "within the range of UINT64"),
        ([2**64], "UINT64", (1,), "within the range of UINT64"),
        ([1e300], "FP32", (1,), "within the range of FP32"),
        ([10**400], "FP64", (1,), "within the range of FP64"),
        ([True], "INT8", (1,), "expected whole numbers as INT8 data"),
        ([1.0], "INT8", (1,), "expected whole numbers"),
        ([1], "BOOL", (1,), "expected true and false"),
        (["1"], "FP32", (1,), "expected numbers"),
        ([None], "FP32", (1,), "expected numbers"),
        ([1], "BYTES", (1,), "expected strings"),
        (["\ud800"], "BYTES", (1,), "half a surrogate"),
        ("ab", "BYTES", (2,), "expected a list as data of 'x', got a str"),
        ({}, "FP32", (1,), "expected a list"),
        ([], "FP32", (1,), "expected 1 elements"),
        ([1, 2, 3], "INT8", (2, 2), "expected 4 elements"),
        ([[1, 2], [3]], "INT8", (2, 2), "expected 4 elements"),
        ([[1, 2, 3, 4]], "INT8", (2, 2), "expected 4 elements"),
        ([[1, 2], 3], "INT8", (2, 2), "expected 4 elements"),
        ([1, [2]], "INT8", (2,), "expected whole numbers"),
        ([[[1]]], "INT8", (1, 1), "expected whole numbers"),
        ([[]], "INT8", (1, 1), "expected 1 elements"),
    ],
)
def test_json_data_that_do_not_fit(
    data: object, datatype: str, shape: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(WireError, match=sentence):
        from_json(data, datatype, shape, "x")


def test_the_largest_whole_number_is_exact() -> None:
    assert from_json([2**64 - 1], "UINT64", (1,), "x")[0] == 2**64 - 1


@pytest.mark.parametrize(
    ("data", "datatype", "shape", "sentence"),
    [
        (b"\0" * 7, "FP32", (2,), "expected 8 bytes for FP32 of shape"),
        (b"\0" * 9, "FP64", (1,), "expected 8 bytes for FP64"),
        (b"", "UINT8", (1,), "expected 1 bytes"),
        (b"\2", "BOOL", (1,), "expected bytes of 0 and 1"),
        (b"\1\0\0\0a", "BYTES", (2,), "expected 2 BYTES elements .* got 1"),
        (b"\xff\xff\xff\xffa", "BYTES", (1,), "got the end of the data before"),
        (b"\1\0", "BYTES", (1,), "got the end of the data before"),
    ],
)
def test_binary_data_that_do_not_fit(
    data: bytes, datatype: str, shape: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(WireError, match=sentence):
        from_binary(data, datatype, shape, "x")


def test_bytes_that_are_no_text_have_no_json_form() -> None:
    tensor = WireTensor(name="x", datatype="BYTES", shape=(1,), elements=(b"\xff",))
    with pytest.raises(WireError, match="its bytes are no text"):
        to_json(tensor)
