"""JSON is bounded in depth and number, and strict."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.wire import MAX_DEPTH, WireError, parse_object
from gatekeeper.wire.json_text import MAX_CONTAINERS

PLAIN = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text()
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(value=st.dictionaries(st.text(), VALUES), escaped=st.booleans())
def test_what_json_writes_is_read_back(value: dict[str, object], escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return  # half a surrogate has no UTF-8
    assert parse_object(encoded) == value


def nested(depth: int) -> bytes:
    """An object around lists: ``depth`` levels in all."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_the_deepest_that_is_read() -> None:
    value = parse_object(nested(MAX_DEPTH))["a"]
    levels = 1
    while value:
        value, levels = value[0], levels + 1
    assert levels == MAX_DEPTH - 1


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 250_000])
def test_deeper_is_refused_before_it_is_read(depth: int) -> None:
    with pytest.raises(WireError, match="expected JSON nested at most 100 deep"):
        parse_object(nested(depth))
    with pytest.raises(WireError, match="nested"):
        parse_object(b'{"a":' * depth)  # never closed


def test_brackets_in_strings_do_not_count() -> None:
    text = json.dumps({"a": "[" * 500 + '"\\' + "{" * 500})
    assert parse_object(text.encode()) == json.loads(text)
    with pytest.raises(WireError, match="nested"):
        parse_object(b'{"\\\\":' + b"[" * 200 + b"]" * 200 + b"}")


def test_many_small_lists_are_refused() -> None:
    with pytest.raises(WireError, match="send flat or binary data"):
        parse_object(b'{"a":[' + b"[]," * MAX_CONTAINERS + b"[]]}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "cannot be read as such"),
        (b"{", "cannot be read as such"),
        (b'{"a": 1,}', "cannot be read as such"),
        (b"\xef\xbb\xbf{}", "cannot be read as such"),
        (b'{"a": "\xff"}', "cannot be read as such"),
        ('{"a": 1}'.encode("utf-16"), "cannot be read as such"),
        (b'{"a": ' + b"9" * 5000 + b"}", "cannot be read as such"),
        (b'{"a": NaN}', "expected finite numbers, got NaN"),
        (b'{"a": -Infinity}', "expected finite numbers, got -Infinity"),
        (b'{"a": 1, "a": 2}', "each key once"),
        (b'{"b": [{"a": 1, "a": 1}]}', "each key once"),
        (b"[]", "expected a JSON object, got a list"),
        (b"3", "expected a JSON object, got a int"),
    ],
)
def test_what_is_refused(text: bytes, sentence: str) -> None:
    with pytest.raises(WireError, match=sentence):
        parse_object(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    with suppress(WireError):
        assert isinstance(parse_object(text), dict)
