"""The Open Inference Protocol from the asking side: tensors to a request, an answer to tensors."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.classifiers.upstream import Call, Reply, UpstreamAnswerError
from gatekeeper.wire import BYTES, HEADER_LENGTH, WireError, WireTensor, parse_object
from gatekeeper.wire.datatypes import check_datatype, check_shape
from gatekeeper.wire.tensors import from_binary, from_json, to_binary, to_json


def infer_call(
    inputs: Sequence[WireTensor],
    outputs: Sequence[str] = (),
    *,
    binary: bool = True,
    binary_output: bool | None = None,
) -> Call:
    """The request that asks a model about tensors.

    Args:
        inputs: At least one.
        outputs: Those that are wanted; none asks for all.
        binary: Whether tensors travel in binary; servers without that extension take JSON, where
            BYTES become base64 and say so.
        binary_output: The same for the answer; None is as ``binary``.
    """
    binary_output = binary if binary_output is None else binary_output
    nodes, data = [], []
    for tensor in inputs:
        node, tail = _node(tensor, binary)
        nodes.append(node)
        data.append(tail)
    head: dict[str, Any] = {"inputs": nodes}
    if outputs:
        wanted = {"parameters": {"binary_data": True}} if binary_output else {}
        head["outputs"] = [{"name": name, **wanted} for name in outputs]
    elif binary_output:
        head["parameters"] = {"binary_data_output": True}
    text = json.dumps(head).encode()
    if not binary:
        return Call(suffix="/infer", body=text, headers={"Content-Type": "application/json"})
    return Call(
        suffix="/infer",
        body=text + b"".join(data),
        headers={"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(text))},
    )


def _node(tensor: WireTensor, binary: bool) -> tuple[dict[str, Any], bytes]:
    node: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "datatype": tensor.datatype,
    }
    if binary:
        data = to_binary(tensor)
        return {**node, "parameters": {"binary_data_size": len(data)}}, data
    if isinstance(tensor.elements, tuple):
        texts = [base64.b64encode(each).decode() for each in tensor.elements]
        return {**node, "parameters": {"content_type": "base64"}, "data": texts}, b""
    return {**node, "data": to_json(tensor)}, b""


def read_answer(reply: Reply) -> dict[str, WireTensor]:
    """The output tensors of an answer, by name.

    Raises:
        UpstreamAnswerError: it is no answer of this protocol.
    """
    try:
        return _tensors(reply)
    except WireError as error:
        raise UpstreamAnswerError(
            f"expected an answer of the Open Inference Protocol, got another: {error}"
        ) from error


def _tensors(reply: Reply) -> dict[str, WireTensor]:
    given = reply.headers.get(HEADER_LENGTH.lower(), str(len(reply.body)))
    length = int(given) if given.isascii() and given.isdigit() and len(given) < 11 else -1
    if not 0 < length <= len(reply.body):
        raise WireError(f"expected {HEADER_LENGTH} within the body, got {given!r:.40}")
    nodes = parse_object(reply.body[:length]).get("outputs")
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise WireError("expected a list of objects as outputs")
    found: dict[str, WireTensor] = {}
    at = length
    for node in nodes:
        tensor, taken = _tensor(node, reply.body[at:])
        found[tensor.name] = tensor
        at += taken
    return found


def _tensor(node: Mapping[str, Any], binary: bytes) -> tuple[WireTensor, int]:
    """A tensor, and how many bytes of binary data it took."""
    name = node.get("name")
    if not isinstance(name, str):
        raise WireError(f"expected a name of each output, got {name!r:.40}")
    datatype = check_datatype(node.get("datatype"), name)
    shape = check_shape(node.get("shape"), name)
    parameters = node.get("parameters") or {}
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        elements = from_json(node.get("data"), datatype, shape, name)
        taken = 0
    elif type(size) is not int or not 0 <= size <= len(binary):
        raise WireError(f"expected {size!r:.40} bytes of binary data for {name!r}, got others")
    else:
        elements = from_binary(binary[:size], datatype, shape, name)
        taken = size
    return WireTensor(name=name, datatype=datatype, shape=shape, elements=elements), taken


def encoded(name: str, files: Sequence[bytes]) -> WireTensor:
    """Files as a BYTES tensor of one axis."""
    return WireTensor(name=name, datatype=BYTES, shape=(len(files),), elements=tuple(files))
