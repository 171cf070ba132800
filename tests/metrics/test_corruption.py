"""Corruption errors by hand arithmetic."""

from __future__ import annotations

import pytest

from gatekeeper.errors import InputError
from gatekeeper.metrics.corruption import (
    corruption_errors,
    mean_corruption_error,
    relative_mean_corruption_error,
)

OURS = {"fog": [0.1, 0.2, 0.3], "snow": [0.2, 0.3, 0.7]}
REFERENCE = {"snow": [0.5, 0.5, 0.5], "fog": [0.3, 0.4, 0.5]}


def test_by_hand():
    ratios = corruption_errors(OURS, REFERENCE)
    assert ratios == pytest.approx({"fog": 0.6 / 1.2, "snow": 1.2 / 1.5})
    assert mean_corruption_error(OURS, REFERENCE) == pytest.approx((0.5 + 0.8) / 2)


def test_relative_by_hand():
    """Added to 0.1 and 0.25 clean: 0.3 of 0.45 by fog, 0.9 of 0.75 by snow."""
    error = relative_mean_corruption_error(
        OURS, REFERENCE, clean_error=0.1, reference_clean_error=0.25
    )
    assert error == pytest.approx((0.3 / 0.45 + 0.9 / 0.75) / 2)


def test_the_reference_itself_is_one():
    assert mean_corruption_error(REFERENCE, REFERENCE) == pytest.approx(1.0)
    assert relative_mean_corruption_error(
        REFERENCE, REFERENCE, clean_error=0.25, reference_clean_error=0.25
    ) == pytest.approx(1.0)


def test_never_wrong_is_zero_and_corruptions_that_help_are_below():
    never = {name: [0.0, 0.0, 0.0] for name in REFERENCE}
    assert mean_corruption_error(never, REFERENCE) == 0.0
    helped = relative_mean_corruption_error(
        never, REFERENCE, clean_error=0.1, reference_clean_error=0.25
    )
    assert helped == pytest.approx((-0.3 / 0.45 - 0.3 / 0.75) / 2)


def test_a_ratio_of_sums_is_not_a_mean_of_ratios():
    """0.1 / 0.1 and 0.1 / 0.9: their mean is 0.56, the corruption error 0.2."""
    assert mean_corruption_error({"fog": [0.1, 0.1]}, {"fog": [0.1, 0.9]}) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("errors", "reference", "message"),
    [
        ({}, {}, "at least one; got none and none"),
        ({"fog": [0.1]}, {"snow": [0.1]}, "same corruptions.*got fog and snow"),
        ({"fog": [0.1]}, {"fog": [0.1, 0.2]}, "as many severities of fog for both, got 1 and 2"),
        ({"fog": [10.0]}, {"fog": [0.5]}, r"under fog must lie in \[0, 1\], got 10.0; percentages"),
        ({"fog": [0.1]}, {"fog": [0.0]}, "must err more under fog than without, got 0 more"),
        ({"fog": []}, {"fog": []}, "N at least 1"),
    ],
)
def test_bad_input_is_refused(errors, reference, message):
    with pytest.raises(InputError, match=message):
        mean_corruption_error(errors, reference)


def test_relative_needs_corruptions_that_cost_the_reference_something():
    with pytest.raises(InputError, match="must err more under fog"):
        relative_mean_corruption_error(OURS, REFERENCE, clean_error=0.1, reference_clean_error=0.4)
    with pytest.raises(InputError, match=r"clean_error must lie in \[0, 1\]"):
        relative_mean_corruption_error(OURS, REFERENCE, clean_error=-1, reference_clean_error=0)
