"""Exact bounds on proportions against scipy and a closed form."""

from __future__ import annotations

import pytest
from scipy import stats

from gatekeeper.errors import InputError
from gatekeeper.metrics.proportions import exact_proportion_interval, exact_upper_bound


@pytest.mark.parametrize(("count", "n"), [(0, 1), (1, 1), (0, 40), (7, 40), (40, 40), (2, 8900)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_exact_intervals_are_those_of_scipy(count, n, level):
    test = stats.binomtest(count, n).proportion_ci(level, method="exact")
    assert exact_proportion_interval(count, n, level) == pytest.approx((test.low, test.high))
    one_sided = stats.binomtest(count, n, alternative="less").proportion_ci(level, method="exact")
    assert exact_upper_bound(count, n, level) == pytest.approx(one_sided.high)


def test_exact_upper_bound_without_errors_has_its_closed_form():
    assert exact_upper_bound(0, 1000, 0.9) == pytest.approx(1 - 0.1 ** (1 / 1000))
    assert exact_upper_bound(0, 1000, 0.9) == pytest.approx(0.0023, abs=5e-5)


@pytest.mark.parametrize(("count", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_exact_bounds_refuse_impossible_counts(count, n):
    with pytest.raises(InputError, match="count"):
        exact_proportion_interval(count, n)
    with pytest.raises(InputError, match="count"):
        exact_upper_bound(count, n)
