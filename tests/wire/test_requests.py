"""Bodies of inference requests."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.wire import RequestedOutput, WireError, parse_infer

IMAGE = {"name": "image", "shape": [1], "datatype": "BYTES"}


def body(node: Any, tail: bytes = b"") -> tuple[bytes, list[str]]:
    """A body with its header length."""
    text = json.dumps(node).encode()
    return text + tail, [str(len(text))]


def parsed(node: Any, tail: bytes = b"") -> Any:
    data, lengths = body(node, tail)
    return parse_infer(data, header_lengths=lengths)


def test_a_json_request() -> None:
    request = parse_infer(
        json.dumps(
            {
                "id": "7",
                "parameters": {"timeout": 1_500_000, "priority": 2},
                "inputs": [
                    {"name": "a", "shape": [2, 1], "datatype": "INT8", "data": [[1], [-2]]},
                    {"name": "b", "shape": [1], "datatype": "BYTES", "data": ["x"]},
                ],
                "outputs": [
                    {"name": "p", "parameters": {"classification": 3, "binary_data": False}},
                    {"name": "q"},
                ],
            }
        ).encode()
    )
    assert (request.id, request.timeout_s, request.binary) == ("7", 1.5, False)
    assert request.parameters["priority"] == 2
    np.testing.assert_array_equal(request.inputs[0].elements, np.array([[1], [-2]], np.int8))
    assert (request.inputs[1].elements, request.inputs[1].from_text) == ((b"x",), True)
    assert request.outputs == (
        RequestedOutput(name="p", binary=False, classification=3),
        RequestedOutput(name="q"),
    )


def test_binary_inputs_lie_behind_one_another() -> None:
    request = parsed(
        {
            "parameters": {"binary_data_output": True, "timeout": 0},
            "inputs": [
                {**IMAGE, "parameters": {"binary_data_size": 6}},
                {"name": "j", "shape": [1], "datatype": "BOOL", "data": [True]},
                {"name": "n", "shape": [2], "datatype": "UINT16",
                 "parameters": {"binary_data_size": 4}},
            ],
        },
        b"\2\0\0\0ab\1\0\0\1",
    )  # fmt: skip
    assert request.inputs[0].elements == (b"ab",)
    assert list(request.inputs[2].elements) == [1, 256]
    assert (request.binary, request.timeout_s, request.id) == (True, None, None)
    assert not request.inputs[0].from_text


def test_a_raw_request_is_one_element() -> None:
    request = parse_infer(b"\x89PNG", header_lengths=["0"])
    assert (request.inputs[0].name, request.inputs[0].elements) == ("image", (b"\x89PNG",))
    assert request.binary
    with pytest.raises(WireError, match="empty body"):
        parse_infer(b"", header_lengths=["0"])


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [
        (["3", "3"], "once, got it 2 times"),
        (["-1"], "to be a number of bytes, got '-1'"),
        (["x"], "to be a number"),
        ([""], "to be a number"),
        (["1.0"], "to be a number"),
        (["²"], "to be a number"),
        (["9" * 11], "to be a number"),
        (["3"], "of at most the 2 bytes of the body, got 3"),
        (["2147483648"], "of at most the 2 bytes"),
        (["1"], "cannot be read as such"),
    ],
)
def test_header_lengths_that_lie(lengths: list[str], sentence: str) -> None:
    with pytest.raises(WireError, match=sentence):
        parse_infer(b"{}", header_lengths=lengths)


def test_an_empty_body() -> None:
    with pytest.raises(WireError, match="expected an inference request, got an empty body"):
        parse_infer(b"")


DATA = {**IMAGE, "data": ["x"]}


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ({}, "expected at least one input"),
        ({"inputs": []}, "expected at least one input"),
        ({"inputs": {}}, "expected a list of objects as inputs"),
        ({"inputs": [1]}, "expected a list of objects as inputs"),
        ({"inputs": [DATA] * 65}, "at most 64 inputs"),
        ({"inputs": [DATA, DATA]}, "each name once among inputs"),
        ({"inputs": [{**DATA, "name": 3}]}, "expected a name in each of inputs, got 3"),
        ({"inputs": [{**DATA, "name": ""}]}, "expected a name"),
        ({"inputs": [IMAGE]}, "either data or binary_data_size for 'image', got both or none"),
        ({"inputs": [{**DATA, "parameters": {"binary_data_size": 1}}]}, "got both or none"),
        ({"inputs": [{**DATA, "parameters": 3}]}, "object of plain values as parameters of 'ima"),
        ({"inputs": [{**DATA, "parameters": {"a": []}}]}, "object of plain values"),
        ({"inputs": [DATA], "parameters": []}, "object of plain values as parameters of the req"),
        ({"inputs": [DATA], "id": 3}, "expected a string as id, got a int"),
        ({"inputs": [DATA], "id": "i" * 1025}, "an id of at most 1024 characters, got 1025"),
        ({"inputs": [DATA], "outputs": [{"name": "a"}, {"name": "a"}]}, "each name once among ou"),
        ({"inputs": [DATA], "outputs": [{"name": "a", "parameters": {"classification": -1}}]},
         "whole number of at least 0 as parameter classification, got -1"),
        ({"inputs": [DATA], "outputs": [{"name": "a", "parameters": {"binary_data": 1}}]},
         "expected true or false as parameter binary_data, got 1"),
        ({"inputs": [DATA], "parameters": {"timeout": 0.5}}, "parameter timeout, got 0.5"),
        ({"inputs": [DATA], "parameters": {"timeout": True}}, "parameter timeout, got True"),
        ({"inputs": [DATA], "parameters": {"timeout": 2**63}}, "parameter timeout"),
        ({"inputs": [DATA], "parameters": {"binary_data_output": "yes"}}, "binary_data_output"),
        ({"inputs": [{**IMAGE, "parameters": {"binary_data_size": -1}}]}, "binary_data_size"),
        ({"inputs": [{**IMAGE, "parameters": {"binary_data_size": "5"}}]}, "binary_data_size"),
        ({"inputs": [{**IMAGE, "parameters": {"binary_data_size": 9}}]},
         "expected 9 bytes of binary data for 'image', got 0"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_read(node: Any, sentence: str) -> None:
    with pytest.raises(WireError, match=sentence):
        parsed(node)


def test_binary_data_that_nothing_claims() -> None:
    with pytest.raises(WireError, match="expected 0 bytes of binary data, as the inputs say, got"):
        parsed({"inputs": [DATA]}, b"more")


NODES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["name", "shape", "datatype", "data", "parameters", "binary_data_size", "timeout"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(
    node=st.fixed_dictionaries(
        {},
        optional={
            "inputs": st.lists(
                st.fixed_dictionaries(
                    {"name": st.just("image"), "datatype": st.sampled_from(["BYTES", "FP32", "a"])},
                    optional={
                        "shape": st.lists(st.integers(-1, 3), max_size=3),
                        "data": NODES,
                        "parameters": NODES,
                    },
                ),
                max_size=2,
            ),
            "outputs": NODES,
            "parameters": NODES,
            "id": NODES,
        },
    ),
    tail=st.binary(max_size=12),
    length=st.none() | st.integers(0, 300),
)
def test_any_request_is_read_or_refused(node: Any, tail: bytes, length: int | None) -> None:
    data, lengths = body(node, tail)
    if length is not None:
        lengths = [str(length)]
    with suppress(WireError):
        assert parse_infer(data, header_lengths=lengths).inputs


@given(data=st.binary(max_size=60), lengths=st.lists(st.text(max_size=3), max_size=2))
def test_any_bytes_are_read_or_refused(data: bytes, lengths: list[str]) -> None:
    with suppress(WireError):
        assert parse_infer(data, header_lengths=lengths).inputs
