"""The datatypes of the Open Inference Protocol."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gatekeeper.wire.problems import WireError

BYTES = "BYTES"
"""Datatype of elements of any length."""

NUMERIC: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Datatypes of elements of a fixed length, as they lie on the wire: little-endian."""

MAX_DIMENSIONS = 8
_MOST_ELEMENTS = 2**31 - 1


def check_datatype(value: object, name: str) -> str:
    """The datatype of the tensor ``name``.

    Raises:
        WireError: it is not one of the protocol's.
    """
    if isinstance(value, str) and (value in NUMERIC or value == BYTES):
        return value
    known = ", ".join([*NUMERIC, BYTES])
    raise WireError(f"expected a datatype of {known} for {name!r}, got {value!r:.60}: correct it")


def check_shape(value: object, name: str) -> tuple[int, ...]:
    """The shape of the tensor ``name``; its elements can be counted and are at least one.

    Raises:
        WireError: it is no list of whole numbers of at least 1, or names too many elements.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_DIMENSIONS:
        raise WireError(
            f"expected a shape of 1 to {MAX_DIMENSIONS} numbers for {name!r}, got {value!r:.60}"
        )
    if any(type(size) is not int or size < 1 for size in value):
        raise WireError(
            f"expected a shape of whole numbers of at least 1 for {name!r}, got {value!r:.60}"
        )
    if math.prod(value) > _MOST_ELEMENTS:
        raise WireError(
            f"expected a shape of at most {_MOST_ELEMENTS} elements for {name!r}, got {value!r:.60}"
        )
    return tuple(value)
