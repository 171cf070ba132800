"""Monitor and windows: simulated streams, medians and shares by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.guarantee_watch import (
    family_power,
    mean_power,
    median_labels,
    shuffled,
    window_p_values,
    withdrawals,
)
from gatekeeper.monitoring import WINDOW, ConditionsTest


def runs(risk: float, seed: int = 0) -> np.ndarray:
    return withdrawals(
        risk, target_risk=0.05, confidence_level=0.95, n_runs=200, n_labels=1_000, seed=seed
    )


def test_withdrawals_come_rarely_at_the_target_and_soon_far_above_it() -> None:
    # 95 % allow 10 of 200; the 99.9 % limit of such a count is 20.
    assert (runs(0.05) > 0).sum() <= 20
    doubled, all_wrong = runs(0.1), runs(1.0)
    assert (doubled > 0).mean() > 0.9
    assert (all_wrong > 0).all()
    assert len(np.unique(all_wrong)) == 1
    assert np.median(all_wrong) < np.median(doubled)


def test_withdrawals_follow_from_the_seed() -> None:
    assert np.array_equal(runs(0.1), runs(0.1))
    assert not np.array_equal(runs(0.1), runs(0.1, seed=1))


def test_median_counts_what_never_came_as_more_labels() -> None:
    found = median_labels(np.array([5, 0, 7, 0, 6]), 10)
    assert found.value == 7
    # Of five, the exact interval reaches from the smallest to the largest.
    assert (found.low, found.high) == (5, 11)
    assert median_labels(np.zeros(4, dtype=int), 10).value == 11


def test_median_interval_takes_the_order_statistics_of_the_binomial() -> None:
    found = median_labels(np.arange(1, 101), 1_000)
    # P(Bin(100, 1/2) <= 39) = 0.0176 <= 0.025 < P(… <= 40): the 40th and the 61st value.
    assert (found.value, found.low, found.high) == (50.5, 40, 61)


def test_windows_are_dealt_in_the_order_given() -> None:
    rng = np.random.default_rng(0)
    test = ConditionsTest().fit(rng.normal(size=(2_000, 2)), rng.random(2_000))
    signals, reliability = rng.normal(size=(1_100, 2)), rng.random(1_100)
    signals[:WINDOW] += 2.0
    as_they_are = window_p_values(test, signals, reliability, np.arange(1_100))
    assert as_they_are.shape == (2,)
    assert as_they_are[0] == test.p_value(signals[:WINDOW], reliability[:WINDOW])
    assert as_they_are[0] < test.level < as_they_are[1]
    reverse = window_p_values(test, signals, reliability, np.arange(1_100)[::-1])
    assert reverse[0] > test.level > reverse[1]


def test_shuffled_is_an_order() -> None:
    order = shuffled(50, 3)
    assert sorted(order.tolist()) == list(range(50))
    assert np.array_equal(order, shuffled(50, 3))
    assert not np.array_equal(order, shuffled(50, 4))


def test_power_is_a_mean_over_families_whatever_their_number_of_cells() -> None:
    flags = np.array([[True, True], [True, False], [False, False]])
    families = ["fog", "fog", "shift"]
    assert family_power(flags, families) == {"fog": 0.75, "shift": 0.0}
    found = mean_power(
        {"one": flags, "two": np.ones((1, 2), bool)}, {"one": families, "two": ["fog"]}
    )
    # Windows: ((1 + 0) / 2 + 1) / 2 and ((0.5 + 0) / 2 + 1) / 2.
    assert found.value == pytest.approx((0.75 + 0.625) / 2)
    assert (found.low, found.high) == pytest.approx((0.625, 0.75))
