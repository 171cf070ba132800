"""JSON-ready values in TOML's words; TOML has no null, so what is None is listed by its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gatekeeper.errors import InputError


def toml_value(value: object) -> str:
    """A JSON-ready value in TOML's words.

    Raises:
        InputError: it is None, which TOML cannot say.
    """
    if value is None:
        raise InputError("expected a value that TOML can say, got None: leave the key out")
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    # JSON's strings, numbers and truth values are TOML's, too.
    return json.dumps(value, ensure_ascii=False)


def without_none(table: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, Any], list[str]]:
    """A table without the keys that are None, and these keys.

    Returns:
        The rest, and the dotted names of what was None, such as ``"network.dropout"``.
    """
    kept: dict[str, Any] = {}
    absent: list[str] = []
    for key, value in table.items():
        if value is None:
            absent.append(f"{prefix}{key}")
        elif isinstance(value, Mapping):
            kept[key], inside = without_none(value, f"{prefix}{key}.")
            absent += inside
        else:
            kept[key] = value
    return kept, absent


def with_none(table: Mapping[str, Any], absent: list[str]) -> dict[str, Any]:
    """Put back what :func:`without_none` took out."""
    found = {k: dict(v) if isinstance(v, Mapping) else v for k, v in table.items()}
    for name in absent:
        first, _, rest = name.partition(".")
        found[first] = with_none(found[first], [rest]) if rest else None
    return found
