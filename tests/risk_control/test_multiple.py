"""Holm's procedure: by hand, by its definition, and that it keeps its level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gatekeeper.errors import InputError
from gatekeeper.risk_control import adjusted_by_holm, holm


def test_holm_by_hand():
    # Sorted .005, .01, .03, .04 against .05/4, .05/3, .05/2, .05: the third stops it.
    assert holm([0.01, 0.04, 0.03, 0.005], 0.95).tolist() == [True, False, False, True]
    assert holm([0.04], 0.95).tolist() == [True]
    assert holm([0.2, 0.001], 0.95).tolist() == [False, True]
    # .02 exceeds .05/3 and needs only .05/2, once .01 is out of the way: more than Bonferroni.
    assert holm([0.01, 0.02, 0.9], 0.95).tolist() == [True, True, False]
    # A later one below its own limit does not count once an earlier one failed.
    assert holm([0.026, 0.03], 0.95).tolist() == [False, False]


@given(
    st.lists(st.floats(0, 1) | st.floats(0, 0.1), min_size=1, max_size=8),
    st.sampled_from([0.9, 0.99]),
)
def test_holm_agrees_with_its_definition_and_lies_between_bonferroni_and_nothing(p_values, level):
    refuted = holm(p_values, level)
    p = np.array(p_values)
    expected = []
    for own in p:
        at_or_below = np.unique(p[p <= own])
        expected.append(
            all(q <= (1 - level) / (len(p) - np.count_nonzero(p < q)) for q in at_or_below)
        )
    # Equal p-values share the strictest limit in the definition; the step-down may refute the
    # rest of a tie only if it refuted its first, so both agree.
    assert refuted.tolist() == expected
    assert np.all(refuted[p <= (1 - level) / len(p)])
    assert not np.any(refuted[p > 1 - level])


def test_holm_keeps_the_familywise_level():
    rng = np.random.default_rng(0)
    false = sum(holm(rng.random(5), 0.9).any() for _ in range(1000))
    assert 60 <= false <= stats.binom.ppf(0.99, 1000, 0.1)


@pytest.mark.parametrize("p_values", [[], [[0.1]], [1.2], [-0.1], [float("nan")]])
def test_holm_refuses_what_is_no_p_value(p_values):
    with pytest.raises(InputError, match="p_values"):
        holm(p_values, 0.95)


def test_adjusted_by_hand():
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1 is .02, .03, .06, .04; the last is lifted to .06.
    np.testing.assert_allclose(
        adjusted_by_holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]
    )
    assert adjusted_by_holm([0.04]).tolist() == [0.04]
    assert adjusted_by_holm([0.9, 0.6]).tolist() == [1.0, 1.0]
    assert adjusted_by_holm([0.2, 0.2]).tolist() == [0.4, 0.4]


@given(
    st.lists(st.floats(0, 1) | st.floats(0, 0.1), min_size=1, max_size=8),
    st.sampled_from([0.9, 0.99]),
)
def test_adjusted_p_values_say_what_holm_does(p_values, level):
    adjusted = adjusted_by_holm(p_values)
    clear = np.abs(adjusted - (1 - level)) > 1e-12
    assert np.array_equal((adjusted <= 1 - level)[clear], holm(p_values, level)[clear])
    assert np.all(adjusted >= p_values)


@pytest.mark.parametrize("p_values", [[], [1.2], [float("nan")]])
def test_adjusting_refuses_what_is_no_p_value(p_values):
    with pytest.raises(InputError, match="p_values"):
        adjusted_by_holm(p_values)
