"""The refusals that all metrics share, by message and by value."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import (
    check_confidence_level,
    check_share,
    correct_array,
    count_array,
    reliability_array,
    score_array,
)


def test_scores_come_back_as_float64_with_their_values():
    values = score_array([3, -1, 2])
    assert values.dtype == np.float64
    assert values.tolist() == [3.0, -1.0, 2.0]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "N at least 1"),
        ([[0.1, 0.2]], "shape"),
        (0.5, "shape"),
        ([0.1, float("nan")], "1 NaN or infinite of 2"),
        ([float("inf"), 0.2, -float("inf")], "2 NaN or infinite of 3"),
        (["a", "b"], "numbers"),
        ([True, False], "numbers"),
    ],
)
def test_scores_that_order_nothing_are_refused(scores, message):
    with pytest.raises(InputError, match=message):
        score_array(scores)


def test_reliability_is_closed_at_both_ends_and_nothing_beyond():
    assert reliability_array([0.0, 1.0]).tolist() == [0.0, 1.0]
    for outside in (-1e-9, 1.0 + 1e-9):
        with pytest.raises(InputError, match=r"\[0, 1\]"):
            reliability_array([0.5, outside])


@pytest.mark.parametrize(
    ("correct", "message"),
    [([True], "one per score"), ([[True], [False]], "one per score"), ([1, 0], "boolean")],
)
def test_correct_that_does_not_line_up_is_refused(correct, message):
    with pytest.raises(InputError, match=message):
        correct_array(correct, n=2)


@pytest.mark.parametrize(
    ("counts", "message"),
    [([], "M at least 1"), ([1.0], "integers"), ([3, -2], "at least 0, got -2"), (4, "shape")],
)
def test_counts_that_nothing_could_count_are_refused(counts, message):
    with pytest.raises(InputError, match=message):
        count_array(counts, name="n_wrong")


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1, float("nan")])
def test_confidence_levels_outside_the_open_interval_are_refused(level):
    with pytest.raises(InputError, match="confidence_level"):
        check_confidence_level(level)


@pytest.mark.parametrize("share", [-0.01, 1.01, 5.0, float("nan")])
def test_shares_outside_the_closed_interval_are_refused(share):
    with pytest.raises(InputError, match="max_risk"):
        check_share(share, name="max_risk")
