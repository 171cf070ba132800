"""Untrusted JSON to Python values: bounded in depth and number, strict where JSON is vague."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import numpy as np

from gatekeeper.wire.problems import WireError

MAX_DEPTH = 100
"""Deepest nesting of lists and objects that is read."""
MAX_CONTAINERS = 1_000_000
"""Most lists and objects that are read: each costs far more memory than its two brackets."""

_ESCAPED = re.compile(rb"\\.", re.DOTALL)


def parse_object(text: bytes) -> dict[str, Any]:
    """Read one JSON object.

    Stricter than Python's reader: UTF-8 without a byte order mark, no ``NaN`` or ``Infinity``, no
    key twice in one object, bounded depth and number of lists and objects.

    Args:
        text: The whole document.

    Returns:
        The object.

    Raises:
        WireError: the text is none of that.

    Example:
        >>> parse_object(b'{"a": [1, 2]}')
        {'a': [1, 2]}
    """
    _check_brackets(text)
    try:
        value = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except WireError:
        raise
    except (ValueError, RecursionError) as error:
        # Of ValueError: no JSON, no UTF-8, or a whole number of thousands of digits.
        raise WireError(
            "expected JSON in UTF-8, got a text that cannot be read as such: check its syntax"
        ) from error
    if not isinstance(value, dict):
        raise WireError(f"expected a JSON object, got a {type(value).__name__}: wrap it in {{}}")
    return value


def _check_brackets(text: bytes) -> None:
    """Bound the work before the reader does any, in time and memory that grow with the text."""
    symbols = np.frombuffer(_ESCAPED.sub(b"  ", text) if b"\\" in text else text, dtype=np.uint8)
    quotes = np.cumsum(symbols == ord('"'), dtype=np.int32)
    outside = quotes % 2 == 0
    opened = outside & ((symbols == ord("[")) | (symbols == ord("{")))
    closed = outside & ((symbols == ord("]")) | (symbols == ord("}")))
    depth = np.cumsum(opened.astype(np.int8) - closed.astype(np.int8), dtype=np.int32)
    if depth.size and depth.max() > MAX_DEPTH:
        raise WireError(
            f"expected JSON nested at most {MAX_DEPTH} deep, got deeper: flatten the data"
        )
    if int(opened.sum()) > MAX_CONTAINERS:
        raise WireError(
            f"expected at most {MAX_CONTAINERS} lists and objects, got more: send flat or binary "
            "data"
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WireError("expected each key once in a JSON object, got one twice: remove it")
    return found


def _no_constant(name: str) -> NoReturn:
    raise WireError(f"expected finite numbers, got {name}, which is not JSON: leave it out")
