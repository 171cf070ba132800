"""Tensors of the Open Inference Protocol: JSON and binary data to typed values and back."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gatekeeper.wire.datatypes import BYTES, NUMERIC
from gatekeeper.wire.problems import WireError

Elements: TypeAlias = npt.NDArray[Any] | tuple[bytes, ...]

_PREFIX = 4
"""A BYTES element is a little-endian uint32, its length, and that many bytes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WireTensor:
    """A named tensor.

    Attributes:
        name: As the request or answer calls it.
        datatype: One of the protocol's.
        shape: Row-major.
        elements: An array of ``shape`` for numbers; for BYTES the elements in row-major order.
        parameters: As sent.
        from_text: Whether BYTES elements came as JSON strings.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    elements: Elements
    parameters: Mapping[str, Any] = field(default_factory=dict)
    from_text: bool = False


# --- JSON ---------------------------------------------------------------------------------------


def from_json(data: object, datatype: str, shape: tuple[int, ...], name: str) -> Elements:
    """The elements of a JSON ``data`` list, flat or nested, in row-major order.

    BYTES elements are the UTF-8 of their strings: whether these are base64 is for the reader of
    the tensor to know.

    Raises:
        WireError: the list does not fit the shape or the datatype, or a number is out of range.
    """
    flat = _flat(data, shape, name)
    if datatype == BYTES:
        return _text_elements(flat, name)
    if datatype == "FP16":
        raise WireError(
            f"expected FP16 data of {name!r} as binary, got JSON: send it as binary data"
        )
    kinds: set[type] = set(map(type, flat))
    by_letter: dict[str, set[type]] = {"B": {bool}, "F": {int, float}}
    allowed = by_letter.get(datatype[0], {int})
    if not kinds <= allowed:
        wanted = {"B": "true and false", "F": "numbers"}.get(datatype[0], "whole numbers")
        raise WireError(f"expected {wanted} as {datatype} data of {name!r}, got other values")
    try:
        with np.errstate(over="ignore"):
            elements = np.array(flat, dtype=NUMERIC[datatype])
    except OverflowError as error:
        raise _out_of_range(datatype, name) from error
    if datatype[0] == "F" and not np.isfinite(elements).all():
        raise _out_of_range(datatype, name)
    return elements.reshape(shape)


def _out_of_range(datatype: str, name: str) -> WireError:
    return WireError(
        f"expected numbers within the range of {datatype} in {name!r}, got one beyond: use a wider "
        "datatype"
    )


def _flat(data: object, shape: tuple[int, ...], name: str) -> list[Any]:
    if not isinstance(data, list):
        raise WireError(f"expected a list as data of {name!r}, got a {type(data).__name__}")
    if not (data and isinstance(data[0], list)):
        if len(data) != math.prod(shape):
            raise _misfit(name, shape)
        return data
    rows: list[Any] = [data]
    for size in shape:
        if not all(isinstance(each, list) and len(each) == size for each in rows):
            raise _misfit(name, shape)
        rows = list(chain.from_iterable(rows))
    return rows


def _misfit(name: str, shape: tuple[int, ...]) -> WireError:
    return WireError(
        f"expected {math.prod(shape)} elements for shape {list(shape)} in {name!r}, flat or nested "
        "like it, got data of another form"
    )


def _text_elements(flat: list[Any], name: str) -> tuple[bytes, ...]:
    if not all(isinstance(each, str) for each in flat):
        raise WireError(f"expected strings as BYTES data of {name!r}, got other values")
    try:
        return tuple(each.encode() for each in flat)
    except UnicodeEncodeError as error:
        raise WireError(f"expected Unicode strings in {name!r}, got half a surrogate") from error


def to_json(tensor: WireTensor) -> list[Any]:
    """The elements as a flat JSON list; BYTES must be UTF-8.

    Raises:
        WireError: BYTES that are no text, or numbers that JSON cannot write.
    """
    if isinstance(tensor.elements, tuple):
        try:
            return [each.decode() for each in tensor.elements]
        except UnicodeDecodeError as error:
            raise WireError(f"expected {tensor.name!r} as binary: its bytes are no text") from error
    if tensor.datatype[0] == "F" and not np.isfinite(tensor.elements).all():
        raise WireError(f"expected {tensor.name!r} as binary: it holds numbers that are not finite")
    values: list[Any] = tensor.elements.reshape(-1).tolist()
    return values


# --- binary -------------------------------------------------------------------------------------


def from_binary(data: bytes, datatype: str, shape: tuple[int, ...], name: str) -> Elements:
    """The elements of a binary tensor: row-major, little-endian.

    Raises:
        WireError: the bytes are more or fewer than shape and datatype say.
    """
    count = math.prod(shape)
    if datatype == BYTES:
        elements = split_bytes(data, name, most=count)
        if len(elements) != count:
            raise WireError(
                f"expected {count} BYTES elements for shape {list(shape)} in {name!r}, got "
                f"{len(elements)}"
            )
        return elements
    kind = NUMERIC[datatype]
    if len(data) != count * kind.itemsize:
        raise WireError(
            f"expected {count * kind.itemsize} bytes for {datatype} of shape {list(shape)} in "
            f"{name!r}, got {len(data)}"
        )
    if datatype == "BOOL" and data.translate(None, b"\0\1"):
        raise WireError(f"expected bytes of 0 and 1 as BOOL data of {name!r}, got others")
    return np.frombuffer(data, dtype=kind).reshape(shape)


def split_bytes(data: bytes, name: str, *, most: int) -> tuple[bytes, ...]:
    """The length-prefixed elements of ``data``, of which there may be ``most``.

    Raises:
        WireError: a length reaches past the end, bytes are left over, or there are more.
    """
    elements: list[bytes] = []
    at = 0
    while at < len(data) and len(elements) < most:
        length = int.from_bytes(data[at : at + _PREFIX], "little")
        end = at + _PREFIX + length
        if end > len(data):
            raise WireError(
                f"expected a BYTES element of {length} bytes in {name!r}, got the end of the data "
                "before: prefix each element with its length as a little-endian uint32"
            )
        elements.append(data[at + _PREFIX : end])
        at = end
    if at < len(data):
        raise WireError(
            f"expected {most} BYTES elements in {name!r}, got {len(data) - at} bytes more"
        )
    return tuple(elements)


def join_bytes(elements: Iterable[bytes]) -> bytes:
    """Length-prefixed elements, one behind the other.

    Example:
        >>> join_bytes([b"ab"]).hex()
        '020000006162'
    """
    return b"".join(struct.pack("<I", len(each)) + each for each in elements)


def to_binary(tensor: WireTensor) -> bytes:
    """The elements as they lie on the wire."""
    if isinstance(tensor.elements, tuple):
        return join_bytes(tensor.elements)
    return np.ascontiguousarray(tensor.elements, dtype=NUMERIC[tensor.datatype]).tobytes()


# --- tensors to answer with ---------------------------------------------------------------------


def numbers(name: str, datatype: str, values: npt.ArrayLike) -> WireTensor:
    """A tensor of numbers."""
    array = np.asarray(values, dtype=NUMERIC[datatype])
    return WireTensor(name=name, datatype=datatype, shape=array.shape, elements=array)


def texts(name: str, values: Sequence[str]) -> WireTensor:
    """A BYTES tensor of one axis."""
    elements = tuple(value.encode() for value in values)
    return WireTensor(name=name, datatype=BYTES, shape=(len(elements),), elements=elements)
