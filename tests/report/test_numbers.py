from __future__ import annotations

import pytest

from gatekeeper.report.numbers import (
    UNIT_SPACE,
    any_value,
    decimal,
    percent,
    percent_range,
    short_percent,
    whole,
)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.5, "50.0 %"),
        (0.0423, "4.2 %"),
        (0.01, "1.0 %"),
        (0.00234, "0.23 %"),
        (0.000021, "0.0021 %"),
        (0.9949, "99.49 %"),
        (0.9999, "99.990 %"),
    ],
)
def test_percent_has_the_digits_that_matter(share: float, expected: str) -> None:
    assert percent(share).replace(UNIT_SPACE, " ") == expected


def test_only_none_and_all_are_written_without_decimals() -> None:
    assert percent(1e-9).replace(UNIT_SPACE, " ") == "0.00000010 %"
    assert not percent(1 - 1e-9).startswith("100")


def test_the_unit_is_never_parted_from_its_number() -> None:
    for text in (percent(0.3), short_percent(0.3), percent_range(0.1, 0.2)):
        assert " %" not in text
        assert "\u00a0%" in text


def test_other_numbers() -> None:
    assert short_percent(0.05).replace(UNIT_SPACE, " ") == "5 %"
    assert short_percent(0.0025).replace(UNIT_SPACE, " ") == "0.25 %"
    assert decimal(0.03406, 4) == "0.0341"
    assert whole(1234567) == "1,234,567"
    assert any_value(False) == "no"
    assert any_value((1, "a", 0.5)) == "1, a, 0.5"
