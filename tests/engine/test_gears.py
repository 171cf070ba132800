"""The table, and that a gear does not flutter."""

from __future__ import annotations

import pytest

from gatekeeper.engine import DEFAULT_GEARS, Gear, GearBox, parse_gears
from gatekeeper.errors import InputError

FULL, HALF, RAW = DEFAULT_GEARS


def test_shifting_with_hysteresis() -> None:
    box = GearBox(hold=0.5)  # half is left below 0.25, raw_only below 0.375
    loads = [0.0, 0.49, 0.5, 0.3, 0.24, 0.75, 0.4, 0.37, 0.2, 9.0, 0.0]
    names = [box.shift(load).name for load in loads]
    assert names == [
        "full", "full", "half", "half", "full", "raw_only", "raw_only", "half", "full",
        "raw_only", "full",
    ]  # fmt: skip
    assert box.gear == FULL


def test_what_a_gear_restores_depends_on_the_draw_alone() -> None:
    assert [gear.restores(0.0) for gear in DEFAULT_GEARS] == [True, True, False]
    assert [gear.restores(0.5) for gear in DEFAULT_GEARS] == [True, False, False]
    assert [gear.restores(0.999999) for gear in DEFAULT_GEARS] == [True, False, False]
    assert [gear.is_full for gear in DEFAULT_GEARS] == [True, False, False]


@pytest.mark.parametrize(
    "table",
    [[], [HALF], [RAW, FULL], [FULL, RAW, HALF], [FULL, FULL],
     [FULL, HALF, Gear(name="x", load_from=0.9, restored_share=0.6)]],
)  # fmt: skip
def test_tables_that_cannot_be_meant(table: list[Gear]) -> None:
    with pytest.raises(InputError, match="expected gears"):
        GearBox(table)


@pytest.mark.parametrize(("load", "share"), [(-0.1, 0.5), (0.5, 1.1), (0.5, -0.1)])
def test_rows_that_cannot_be_meant(load: float, share: float) -> None:
    with pytest.raises(InputError, match="load_from of at least 0"):
        Gear(name="x", load_from=load, restored_share=share)


@pytest.mark.parametrize("hold", [0.0, 1.1])
def test_hold(hold: float) -> None:
    with pytest.raises(InputError, match="expected hold"):
        GearBox(hold=hold)


def test_a_table_is_read_as_it_is_written() -> None:
    assert parse_gears("full:0:1 half:0.5:0.5 raw_only:0.75:0") == DEFAULT_GEARS
    assert parse_gears("full:0:1") == (FULL,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("full:0", "as name:load_from:restored_share, .* got 'full:0'"),
     ("full:0:1:2", "got 'full:0:1:2'"), ("full:zero:1", "got 'full:zero:1'"),
     ("a-b:0:1", "got 'a-b:0:1'"), ("", "begin with the full one"),
     ("half:0.5:0.5", "begin with the full one"), ("full:0:2", r"restored_share in \[0, 1\]")],
)  # fmt: skip
def test_tables_that_cannot_be_read(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_gears(text)
