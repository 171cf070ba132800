"""What a server and its model say about themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

EXTENSIONS = ("binary_tensor_data", "classification")
"""Extensions of the protocol that are spoken."""

VARIABLE = -1
"""In a shape: any size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A tensor that a model takes or gives.

    Attributes:
        name: Of the tensor.
        datatype: One of the protocol's.
        shape: :data:`VARIABLE` where any size will do.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """As the protocol writes it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


def server_metadata(name: str, version: str) -> dict[str, Any]:
    """The answer to ``GET /v2``."""
    return {"name": name, "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(
    name: str,
    version: str,
    platform: str,
    *,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> dict[str, Any]:
    """The answer to ``GET /v2/models/{name}``."""
    return {
        "name": name,
        "versions": [version],
        "platform": platform,
        "inputs": [spec.to_json() for spec in inputs],
        "outputs": [spec.to_json() for spec in outputs],
    }
