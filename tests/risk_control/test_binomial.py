"""Exact binomial arithmetic, against scipy and by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gatekeeper.risk_control import (
    binomial_tail,
    fixed_sequence_test,
    min_accepted_to_certify,
    risk_upper_bound,
)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 59), (3, 100), (100, 100), (480, 10_000)])
def test_tail_is_the_binomial_one(k, n):
    assert binomial_tail(k, n, 0.05) == pytest.approx(stats.binom.cdf(k, n, 0.05), rel=1e-9)


def test_tail_of_nothing_accepted_is_no_evidence():
    assert binomial_tail(0, 0, 0.05) == 1.0
    assert risk_upper_bound(0, 0) == 1.0


@given(
    st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.floats(0.01, 0.5),
    st.sampled_from([0.9, 0.95, 0.99]),
)
def test_the_bound_is_below_the_target_exactly_where_the_tail_is_small(counts, target, level):
    margin = risk_upper_bound(*counts, level) - target
    if abs(margin) > 1e-9:
        assert (margin < 0) == (binomial_tail(*counts, target) <= 1 - level)


@pytest.mark.parametrize("target", [0.001, 0.01, 0.05, 0.1, 0.5, 0.95, 0.99])
@pytest.mark.parametrize("level", [0.01, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999])
def test_min_accepted_is_the_smallest_that_certifies(target, level):
    n = min_accepted_to_certify(target, level)
    test = {"target_risk": target, "confidence_level": level}
    assert fixed_sequence_test([0], [n], **test).certified
    assert not fixed_sequence_test([0], [n - 1], **test).certified


def test_min_accepted_by_hand():
    assert min_accepted_to_certify(0.05, 0.95) == 59
    assert min_accepted_to_certify(0.01, 0.99) == 459
