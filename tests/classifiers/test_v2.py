"""Requests are read by our own server's parser; answers of all forms come back as tensors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gatekeeper.classifiers.upstream import Reply, UpstreamAnswerError
from gatekeeper.classifiers.v2 import encoded, infer_call, read_answer
from gatekeeper.wire import HEADER_LENGTH, encode_answer, images_of, numbers, parse_infer, texts

VALUES = np.array([[0.5, -1.25], [3.0, 1e-7]], dtype=np.float32)


@pytest.mark.parametrize("binary", [True, False])
def test_what_is_asked_is_what_a_server_reads(binary: bool) -> None:
    call = infer_call([numbers("x", "FP32", VALUES)], ["logits"], binary=binary)
    lengths = [call.headers[HEADER_LENGTH]] if binary else []
    request = parse_infer(call.body or b"", header_lengths=lengths)
    [tensor] = request.inputs
    assert (tensor.name, tensor.datatype, tensor.shape) == ("x", "FP32", (2, 2))
    np.testing.assert_array_equal(tensor.elements, VALUES)
    assert [(output.name, output.binary) for output in request.outputs] == [
        ("logits", True if binary else None)
    ]
    assert call.suffix == "/infer"


@pytest.mark.parametrize("binary", [True, False])
def test_files_travel_whole(binary: bool) -> None:
    files = [b"\x89PNG\x00\xff", b"GIF"]
    call = infer_call([encoded("image", files)], binary=binary)
    lengths = [call.headers[HEADER_LENGTH]] if binary else []
    request = parse_infer(call.body or b"", header_lengths=lengths)
    assert images_of(request.inputs, most=2).files == tuple(files)
    assert request.binary == binary


@pytest.mark.parametrize("binary", [True, False])
def test_what_a_server_answers_is_what_is_read(binary: bool) -> None:
    call = infer_call([numbers("x", "FP32", VALUES)], binary=binary)
    lengths = [call.headers[HEADER_LENGTH]] if binary else []
    answer = encode_answer(
        parse_infer(call.body or b"", header_lengths=lengths),
        [texts("name", ["a", "bc"]), numbers("logits", "FP32", VALUES)],
        model="net", version="1", parameters={},
    )  # fmt: skip
    headers = {name.lower(): value for name, value in answer.headers.items()}
    found = read_answer(Reply(status=200, headers=headers, body=answer.body))
    assert found["name"].elements == (b"a", b"bc")
    np.testing.assert_array_equal(found["logits"].elements, VALUES)


def output(**changes: object) -> dict[str, object]:
    node = {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1, 2], **changes}
    return {key: value for key, value in node.items() if value is not None}


@pytest.mark.parametrize(
    ("body", "length"),
    [(b"", None), (b"[]", None), (b"{}", None), (b'{"outputs": [1]}', None), (b"<html>", None),
     (b'{"outputs": []}', "99"), (b'{"outputs": []}', "x"), (b'{"outputs": []}', "0"),
     *((json.dumps({"outputs": [node]}).encode(), None) for node in (
         output(name=None), output(name=3), output(datatype="FP31"), output(shape=[3, 2]),
         output(shape="x"), output(data=None), output(data=[1, "2"]),
         output(data=None, parameters={"binary_data_size": 8}),
         output(data=None, parameters={"binary_data_size": "8"})))],
)  # fmt: skip
def test_other_answers_are_refused(body: bytes, length: str | None) -> None:
    headers = {} if length is None else {HEADER_LENGTH.lower(): length}
    with pytest.raises(UpstreamAnswerError, match="of the Open Inference Protocol, got another"):
        read_answer(Reply(status=200, headers=headers, body=body))
