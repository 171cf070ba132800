"""Output tensors to the body of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatekeeper.wire.datatypes import BYTES
from gatekeeper.wire.problems import WireError
from gatekeeper.wire.requests import HEADER_LENGTH, InferRequest, RequestedOutput
from gatekeeper.wire.tensors import WireTensor, to_binary, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back.

    Attributes:
        body: JSON, binary tensors behind it.
        headers: That belong to it, Content-Type among them.
    """

    body: bytes
    headers: Mapping[str, str]


def encode_answer(
    request: InferRequest,
    outputs: Sequence[WireTensor],
    *,
    model: str,
    version: str,
    parameters: Mapping[str, Any],
    labels: Sequence[str] = (),
) -> Answer:
    """Answer a request in the form it asks for.

    Args:
        request: What is answered.
        outputs: All that there are.
        model: Name of the model.
        version: Its version.
        parameters: Plain values about the answer as a whole.
        labels: Names of the classes, for the classification extension.

    Raises:
        WireError: the request asks for an output that there is not, or for a form that it has not.
    """
    known = {output.name: output for output in outputs}
    nodes, binary = [], []
    for wanted in request.outputs or [RequestedOutput(name=name) for name in known]:
        if wanted.name not in known:
            raise WireError(f"expected outputs among {', '.join(known)}, got {wanted.name!r:.60}")
        tensor = known[wanted.name]
        if wanted.classification:
            tensor = classify(tensor, wanted.classification, labels)
        node, data = _node(tensor, request.binary if wanted.binary is None else wanted.binary)
        nodes.append(node)
        binary.append(data)
    head: dict[str, Any] = {"model_name": model, "model_version": version}
    if request.id is not None:
        head["id"] = request.id
    text = json.dumps({**head, "parameters": dict(parameters), "outputs": nodes}).encode()
    if not any("data" not in node for node in nodes):
        return Answer(body=text, headers={"Content-Type": "application/json"})
    return Answer(
        body=text + b"".join(binary),
        headers={"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(text))},
    )


def _node(tensor: WireTensor, binary: bool) -> tuple[dict[str, Any], bytes]:
    node: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "datatype": tensor.datatype,
    }
    if not binary:
        return {**node, "data": to_json(tensor)}, b""
    data = to_binary(tensor)
    return {**node, "parameters": {"binary_data_size": len(data)}}, data


def classify(tensor: WireTensor, k: int, labels: Sequence[str]) -> WireTensor:
    """The ``k`` largest values of each row as "value:index:label", largest first.

    Args:
        tensor: Numbers of shape (N, K).
        k: At least 1; more than K means K.
        labels: Length K, or empty for answers without labels.

    Returns:
        BYTES of shape (N, min(k, K)). Of equal values the one of the smaller index comes first.

    Raises:
        WireError: the tensor is not of that form.
    """
    if isinstance(tensor.elements, tuple) or len(tensor.shape) != 2:
        raise WireError(
            f"expected classification of an output of shape [N, K], got {tensor.name!r}: ask for "
            "it on probabilities"
        )
    names = [f":{label}" for label in labels] or [""] * tensor.shape[1]
    order = np.argsort(-tensor.elements, axis=1, kind="stable")[:, :k]
    elements = tuple(
        f"{row[index]:f}:{index}{names[index]}".encode()
        for row, best in zip(tensor.elements, order, strict=True)
        for index in best
    )
    return WireTensor(name=tensor.name, datatype=BYTES, shape=order.shape, elements=elements)


def error_body(message: str) -> bytes:
    """The body of every refusal.

    Example:
        >>> error_body("no")
        b'{"error": "no"}'
    """
    # Escaped to ASCII: a message may quote half a surrogate, which UTF-8 cannot carry.
    return json.dumps({"error": message}).encode()
