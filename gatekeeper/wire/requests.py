"""The body of an inference request to a typed value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatekeeper.wire.datatypes import BYTES, check_datatype, check_shape
from gatekeeper.wire.json_text import parse_object
from gatekeeper.wire.problems import WireError
from gatekeeper.wire.tensors import WireTensor, from_binary, from_json

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Header that says how many bytes of a body are JSON; binary tensors follow."""

_MOST_DIGITS = 10
_MOST_TENSORS = 64
_MICROSECONDS = 1e-6
_LONGEST_ID = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedOutput:
    """An output that a request names.

    Attributes:
        name: Of the output.
        binary: Whether it is wanted as binary data; None leaves it to the request.
        classification: How many of the largest values are wanted as "value:index:label"; 0 asks
            for the tensor itself.
    """

    name: str
    binary: bool | None = None
    classification: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InferRequest:
    """An inference request.

    Attributes:
        id: Echoed in the answer; None where the request has none.
        inputs: At least one, each name once.
        outputs: Those asked for; empty asks for all.
        binary: Whether outputs are wanted as binary data where they do not say so themselves.
        timeout_s: Time within which an answer is of use; None where the request sets none.
        parameters: As sent.
    """

    id: str | None
    inputs: tuple[WireTensor, ...]
    outputs: tuple[RequestedOutput, ...]
    binary: bool
    timeout_s: float | None
    parameters: Mapping[str, Any]


def parse_infer(
    body: bytes, *, header_lengths: Sequence[str] = (), raw_input: str = "image"
) -> InferRequest:
    """Read the body of an inference request.

    Args:
        body: All of it, decompressed.
        header_lengths: Every value of :data:`HEADER_LENGTH` that came with it; none means that all
            of the body is JSON, "0" that all of it is the one element of a BYTES input.
        raw_input: Name of that input.

    Raises:
        WireError: the body is not an inference request; the message says where.

    Example:
        >>> parse_infer(b"GIF89a", header_lengths=["0"]).inputs[0].elements
        (b'GIF89a',)
    """
    length = _json_length(header_lengths, len(body))
    if length == 0:
        if not body:
            raise WireError("expected the bytes of one input, got an empty body: send them")
        raw = WireTensor(name=raw_input, datatype=BYTES, shape=(1,), elements=(body,))
        return InferRequest(
            id=None, inputs=(raw,), outputs=(), binary=True, timeout_s=None, parameters={}
        )
    header = parse_object(body[:length])
    binary = body[length:] if length < len(body) else b""
    parameters = _parameters(header, "the request")
    return InferRequest(
        id=_id(header),
        inputs=_inputs(header, binary),
        outputs=_outputs(header),
        binary=_flag(parameters, "binary_data_output") or False,
        timeout_s=_timeout(parameters),
        parameters=parameters,
    )


def _json_length(values: Sequence[str], size: int) -> int:
    if not values:
        return size or _refuse_empty()
    if len(values) > 1:
        raise WireError(f"expected {HEADER_LENGTH} once, got it {len(values)} times: send one")
    text = values[0].strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise WireError(f"expected {HEADER_LENGTH} to be a number of bytes, got {text!r:.40}")
    if int(text) > size:
        raise WireError(
            f"expected {HEADER_LENGTH} of at most the {size} bytes of the body, got {text}"
        )
    return int(text)


def _refuse_empty() -> int:
    raise WireError("expected an inference request, got an empty body: send one")


def _parameters(node: Mapping[str, Any], where: str) -> dict[str, Any]:
    value = node.get("parameters", {})
    if not isinstance(value, dict) or any(isinstance(each, list | dict) for each in value.values()):
        raise WireError(f"expected an object of plain values as parameters of {where}")
    return value


def _id(header: Mapping[str, Any]) -> str | None:
    value = header.get("id")
    if value is not None and not isinstance(value, str):
        raise WireError(f"expected a string as id, got a {type(value).__name__}")
    if value is not None and len(value) > _LONGEST_ID:
        raise WireError(f"expected an id of at most {_LONGEST_ID} characters, got {len(value)}")
    return value


def _flag(parameters: Mapping[str, Any], key: str) -> bool | None:
    value = parameters.get(key)
    if value is not None and not isinstance(value, bool):
        raise WireError(f"expected true or false as parameter {key}, got {value!r:.40}")
    return value


def _whole(parameters: Mapping[str, Any], key: str) -> int | None:
    value = parameters.get(key)
    if value is not None and (type(value) is not int or not 0 <= value < 2**63):
        raise WireError(f"expected a whole number of at least 0 as parameter {key}, got {value!r}")
    return value


def _timeout(parameters: Mapping[str, Any]) -> float | None:
    """In seconds; the protocol counts in microseconds, and 0 sets none."""
    value = _whole(parameters, "timeout")
    return value * _MICROSECONDS if value else None


def _list_of_objects(header: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    nodes = header.get(key, [])
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise WireError(f"expected a list of objects as {key}")
    if len(nodes) > _MOST_TENSORS:
        raise WireError(f"expected at most {_MOST_TENSORS} {key}, got {len(nodes)}")
    names = [_name(node, key) for node in nodes]
    if len(set(names)) < len(names):
        raise WireError(f"expected each name once among {key}, got one twice")
    return nodes


def _name(node: Mapping[str, Any], key: str) -> str:
    name = node.get("name")
    if not isinstance(name, str) or not name:
        raise WireError(f"expected a name in each of {key}, got {name!r:.40}")
    return name


def _inputs(header: Mapping[str, Any], binary: bytes) -> tuple[WireTensor, ...]:
    nodes = _list_of_objects(header, "inputs")
    if not nodes:
        raise WireError("expected at least one input, got none: name it under inputs")
    inputs = []
    at = 0
    for node in nodes:
        tensor, taken = _input(node, binary[at:] if at else binary)
        inputs.append(tensor)
        at += taken
    if at != len(binary):
        raise WireError(
            f"expected {at} bytes of binary data, as the inputs say, got {len(binary)}: "
            "binary_data_size of the inputs must add up to what follows the JSON"
        )
    return tuple(inputs)


def _input(node: Mapping[str, Any], binary: bytes) -> tuple[WireTensor, int]:
    """A tensor, and how many bytes of binary data it took."""
    name: str = node["name"]
    datatype = check_datatype(node.get("datatype"), name)
    shape = check_shape(node.get("shape"), name)
    parameters = _parameters(node, repr(name))
    size = _whole(parameters, "binary_data_size")
    if (size is None) == ("data" not in node):
        raise WireError(f"expected either data or binary_data_size for {name!r}, got both or none")
    if size is None:
        elements = from_json(node["data"], datatype, shape, name)
    elif size > len(binary):
        raise WireError(
            f"expected {size} bytes of binary data for {name!r}, got {len(binary)}: send them "
            f"after the JSON, whose length belongs in {HEADER_LENGTH}"
        )
    else:
        elements = from_binary(binary[:size], datatype, shape, name)
    tensor = WireTensor(
        name=name,
        datatype=datatype,
        shape=shape,
        elements=elements,
        parameters=parameters,
        from_text=size is None,
    )
    return tensor, size or 0


def _outputs(header: Mapping[str, Any]) -> tuple[RequestedOutput, ...]:
    outputs = []
    for node in _list_of_objects(header, "outputs"):
        parameters = _parameters(node, repr(node["name"]))
        outputs.append(
            RequestedOutput(
                name=node["name"],
                binary=_flag(parameters, "binary_data"),
                classification=_whole(parameters, "classification") or 0,
            )
        )
    return tuple(outputs)
