"""The conditions test: its level on certified traffic, its power on other traffic."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.monitoring import WINDOW, ConditionsTest


def traffic(n: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Two signals, one of them skewed, one that never changes, and reliabilities."""
    rng = np.random.default_rng(seed)
    signals = np.column_stack(
        [rng.normal(shift, 1.0, n), rng.exponential(1.0, n), np.full(n, 0.25)]
    )
    return signals, rng.beta(8, 2, n)


@pytest.fixture(scope="module")
def fitted() -> ConditionsTest:
    return ConditionsTest(level=0.05).fit(*traffic(8000, 1))


def test_certified_traffic_is_flagged_no_more_often_than_the_level(fitted: ConditionsTest) -> None:
    windows = 400
    share = fitted.flagged_share(*traffic(windows * WINDOW, 2))
    assert share * windows <= stats.binom.ppf(0.99, windows, 0.05)
    assert share > 0  # a test that never flags would pass the line above


def test_shifted_traffic_is_flagged(fitted: ConditionsTest) -> None:
    assert fitted.flagged_share(*traffic(40 * WINDOW, 3, shift=0.5)) > 0.95


def test_reliabilities_alone_are_enough(fitted: ConditionsTest) -> None:
    signals, reliability = traffic(WINDOW, 4)
    assert fitted.p_value(signals, reliability) > 0.05
    assert fitted.p_value(signals, reliability**2) < 0.001


@pytest.mark.parametrize("value", [0.1, 0.75])
def test_a_signal_that_never_changed_before_is_noticed_when_it_does(
    fitted: ConditionsTest, value: float
) -> None:
    signals, reliability = traffic(WINDOW, 4)
    assert fitted.p_value(signals, reliability) > 0.05
    signals[:, 2] = value
    assert fitted.p_value(signals, reliability) < 1e-6


def test_constant_columns_alone_never_flag() -> None:
    constant = np.ones((1000, 2)), np.full(1000, 0.9)
    fitted = ConditionsTest().fit(*constant)
    assert fitted.p_value(constant[0][:50], constant[1][:50]) == 1.0


def test_p_value_by_hand() -> None:
    # Ten even bins of 100; the window has all of its 20 images in the two lowest.
    column = np.arange(1000.0)
    fitted = ConditionsTest().fit(np.zeros((1000, 0)), column)
    window = np.concatenate([np.full(10, 50.0), np.full(10, 150.0)])
    table = [[100] * 10, [10, 10, 0, 0, 0, 0, 0, 0, 0, 0]]
    expected = stats.chi2_contingency(np.array(table)).pvalue
    np.testing.assert_allclose(fitted.p_value(np.zeros((20, 0)), window), expected)


def test_p_value_is_the_smallest_of_the_columns_times_the_number_of_tests(
    fitted: ConditionsTest,
) -> None:
    signals, reliability = traffic(WINDOW, 6, shift=0.2)
    alone = fitted.column_p_values(signals, reliability)
    assert alone.shape == (4,)
    assert (alone.argmin(), alone[2]) == (0, 1.0)  # shifted, and constant
    assert 1.0 <= fitted.n_tests_ <= 6.0  # three columns that vary, independently
    assert fitted.p_value(signals, reliability) == min(1.0, fitted.n_tests_ * alone[0])


def test_columns_that_move_together_count_as_one_test() -> None:
    column = np.random.default_rng(8).normal(size=(4000, 1))
    reliability = np.full(4000, 0.9)
    copies = ConditionsTest(level=0.05).fit(np.repeat(column, 30, axis=1), reliability)
    assert copies.n_tests_ < 2.0


def test_rare_values_do_not_raise_the_level() -> None:
    """Twelve signals that are 0 on all but a few images, where a chi-square is too sure."""
    rng = np.random.default_rng(9)

    def rare(n: int) -> tuple[np.ndarray, np.ndarray]:
        return (rng.random((n, 12)) < 0.002) * rng.random((n, 12)), np.full(n, 0.9)

    flags = [
        ConditionsTest(level=0.05).fit(*rare(2000)).flagged_share(*rare(20 * WINDOW))
        for _ in range(5)
    ]
    assert np.mean(flags) <= stats.binom.ppf(0.99, 100, 0.05) / 100


def test_rare_values_that_become_common_are_noticed() -> None:
    rng = np.random.default_rng(10)
    reference = (rng.random((3000, 2)) < 0.002).astype(float), np.full(3000, 0.9)
    fitted = ConditionsTest().fit(*reference)
    window = reference[0][:WINDOW].copy()
    assert fitted.p_value(window, reference[1][:WINDOW]) > 0.01
    window[:100, 1] = 1.0
    assert fitted.p_value(window, reference[1][:WINDOW]) < 1e-6
    assert fitted.column_p_values(window, reference[1][:WINDOW]).argmin() == 1


def test_flagged_share_looks_at_whole_windows_in_order(fitted: ConditionsTest) -> None:
    usual, other = traffic(WINDOW, 4), traffic(WINDOW, 3, shift=1.0)
    rest = traffic(WINDOW - 1, 3, shift=1.0)
    signals, reliability = (np.concatenate(parts) for parts in zip(usual, other, rest, strict=True))
    assert fitted.flagged_share(signals, reliability) == 0.5


def test_state_round_trip(fitted: ConditionsTest) -> None:
    again = ConditionsTest.from_state({k: v.copy() for k, v in fitted.state().items()})
    window = traffic(WINDOW, 7)
    assert again.p_value(*window) == fitted.p_value(*window)
    assert (again.level, again.n_tests_) == (0.05, fitted.n_tests_)
    old = {name: array for name, array in fitted.state().items() if name != "n_tests"}
    assert ConditionsTest.from_state(old).n_tests_ == 4  # one per column, as it was then


def test_what_cannot_be_compared_is_refused(fitted: ConditionsTest) -> None:
    signals, reliability = traffic(10, 8)
    with pytest.raises(InputError, match="at least one image with 3 signals"):
        fitted.p_value(signals[:, :2], reliability)
    with pytest.raises(InputError, match="at least one image"):
        fitted.p_value(signals[:0], reliability[:0])
    with pytest.raises(InputError, match=r"signals \(N, D\) and reliabilities \(N,\)"):
        fitted.p_value(signals, reliability[:5])
    with pytest.raises(InputError, match=f"at least {WINDOW} images, got 10"):
        fitted.flagged_share(signals, reliability)
    with pytest.raises(NotFittedError, match="call fit first"):
        ConditionsTest().p_value(signals, reliability)
    with pytest.raises(InputError, match=r"level must be in \[0.001, 1\), got 1"):
        ConditionsTest(level=1)
    with pytest.raises(InputError, match="at least 2 images, got 1"):
        ConditionsTest().fit(signals[:1], reliability[:1])
