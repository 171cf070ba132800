"""What is written reads back as it was."""

from __future__ import annotations

import tomllib

import pytest

from gatekeeper.errors import InputError
from gatekeeper.training.toml_text import toml_value, with_none, without_none


@pytest.mark.parametrize(
    "value",
    [3, 0.25, 1e-9, True, 'a "quoted" ü', [1, [2.5, "x"]], {"a": 1, "b-c": {"d": [1]}}, [], {}],
)
def test_toml_reads_back_what_was_written(value: object) -> None:
    assert tomllib.loads(f"key = {toml_value(value)}")["key"] == value


@pytest.mark.parametrize("value", [None, {"a": None}, [1, None]])
def test_toml_cannot_say_none(value: object) -> None:
    with pytest.raises(InputError, match="got None"):
        toml_value(value)


def test_what_is_none_is_taken_out_by_name_and_put_back() -> None:
    table = {"steps": None, "network": {"width": 3, "deep": {"x": None, "y": [1]}}, "end": 0.5}
    kept, absent = without_none(table)
    assert kept == {"network": {"width": 3, "deep": {"y": [1]}}, "end": 0.5}
    assert absent == ["steps", "network.deep.x"]
    assert with_none(kept, absent) == table
    assert kept["network"]["deep"] == {"y": [1]}
