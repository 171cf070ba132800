"""Answers in the form that was asked for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gatekeeper.wire import (
    HEADER_LENGTH,
    Answer,
    InferRequest,
    RequestedOutput,
    WireError,
    classify,
    encode_answer,
    error_body,
    numbers,
    texts,
)

OUTPUTS = (texts("action", ["accept", "é"]), numbers("p", "FP32", [[0.25, 0.75], [0.5, 0.5]]))


def request(*outputs: RequestedOutput, binary: bool = False, id_: str | None = None) -> Any:
    return InferRequest(
        id=id_, inputs=(), outputs=outputs, binary=binary, timeout_s=None, parameters={}
    )


def encoded(asked: InferRequest) -> Answer:
    return encode_answer(
        asked, OUTPUTS, model="m", version="7", parameters={"gear": "full"}, labels=["cat", "dog"]
    )


def test_json_of_all() -> None:
    answer = encoded(request(id_="a\ud800"))
    assert answer.headers == {"Content-Type": "application/json"}
    assert json.loads(answer.body) == {
        "model_name": "m",
        "model_version": "7",
        "id": "a\ud800",
        "parameters": {"gear": "full"},
        "outputs": [
            {"name": "action", "shape": [2], "datatype": "BYTES", "data": ["accept", "é"]},
            {"name": "p", "shape": [2, 2], "datatype": "FP32", "data": [0.25, 0.75, 0.5, 0.5]},
        ],
    }


def test_binary_of_all() -> None:
    answer = encoded(request(binary=True))
    length = int(answer.headers[HEADER_LENGTH])
    assert answer.headers["Content-Type"] == "application/octet-stream"
    head = json.loads(answer.body[:length])
    assert "id" not in head
    assert [o["parameters"]["binary_data_size"] for o in head["outputs"]] == [16, 16]
    assert answer.body[length : length + 16] == b"\6\0\0\0accept\2\0\0\0\xc3\xa9"
    back = np.frombuffer(answer.body[length + 16 :], "<f4")
    np.testing.assert_array_equal(back, [0.25, 0.75, 0.5, 0.5])


def test_an_output_decides_for_itself() -> None:
    asked = request(
        RequestedOutput(name="p", binary=False), RequestedOutput(name="action"), binary=True
    )
    answer = encoded(asked)
    head = json.loads(answer.body[: int(answer.headers[HEADER_LENGTH])])
    assert [o["name"] for o in head["outputs"]] == ["p", "action"]
    assert head["outputs"][0]["data"] == [0.25, 0.75, 0.5, 0.5]
    assert "data" not in head["outputs"][1]


def test_classification() -> None:
    [output] = json.loads(encoded(request(RequestedOutput(name="p", classification=1))).body)[
        "outputs"
    ]
    assert output == {
        "name": "p", "shape": [2, 1], "datatype": "BYTES",
        "data": ["0.750000:1:dog", "0.500000:0:cat"],
    }  # fmt: skip
    best = classify(OUTPUTS[1], 9, [])
    assert best.shape == (2, 2)
    assert best.elements == (b"0.750000:1", b"0.250000:0", b"0.500000:0", b"0.500000:1")


def test_what_is_refused() -> None:
    with pytest.raises(WireError, match="expected outputs among action, p, got 'q'"):
        encoded(request(RequestedOutput(name="q")))
    with pytest.raises(WireError, match="expected classification of an output of shape"):
        encoded(request(RequestedOutput(name="action", classification=1)))
    with pytest.raises(WireError, match="expected classification of an output of shape"):
        classify(numbers("r", "FP32", [1.0]), 1, [])


def test_error_bodies_are_ascii() -> None:
    assert json.loads(error_body("é\ud800")) == {"error": "é\ud800"}
