"""The label-free estimate: arithmetic by hand, what it learns, and that its interval covers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.monitoring import AccuracyEstimator


def rows(cells):
    """Rows of (cell, group, reliability, right, wrong): all of a cell state one reliability."""
    reliability, correct, names, groups = [], [], [], []
    for name, group, stated, n_right, n_wrong in cells:
        n = n_right + n_wrong
        reliability += [stated] * n
        correct += [True] * n_right + [False] * n_wrong
        names += [name] * n
        groups += [group] * n
    return np.array(reliability), np.array(correct), np.array(names), np.array(groups)


def fitted(cells, **options):
    reliability, correct, names, groups = rows(cells)
    return AccuracyEstimator(**options).fit(reliability, correct, cells=names, groups=groups)


def test_mean_reliability_with_an_allowance_by_hand():
    # Two cells of 100: stated 0.8, found 0.9 and 0.7. Each misses by 0.1; chance explains
    # 0.8 * 0.2 / 100 = 0.0016 of the mean square 0.01, and a new group adds a half (1 / G).
    estimator = fitted([("a", "g", 0.8, 90, 10), ("b", "h", 0.8, 70, 30)])
    window = np.array([0.5, 0.9, 1.0, 0.6])
    estimate = estimator.accuracy(window)
    assert (estimate.value, estimate.n_images) == (0.75, 4)
    np.testing.assert_allclose(estimate.calibration_error, np.sqrt(0.0084 * 1.5))
    np.testing.assert_allclose(estimate.sampling_error, np.sqrt(0.25 + 0.09 + 0.0 + 0.24) / 4)
    reach = stats.t.ppf(0.975, 1) * np.hypot(estimate.sampling_error, estimate.calibration_error)
    assert (estimate.low, estimate.high) == (max(0, 0.75 - reach), min(1, 0.75 + reach))


def test_where_calibration_holds_only_chance_is_left():
    estimator = fitted([(f"c{n}", f"g{n}", 0.8, 80, 20) for n in range(8)])
    estimate = estimator.accuracy(np.full(1600, 0.8))
    assert estimate.calibration_error == 0.0
    np.testing.assert_allclose(estimate.sampling_error, 0.01)
    np.testing.assert_allclose(estimate.high - 0.8, 0.01 * stats.t.ppf(0.975, 7))


def test_over_trust_that_grows_with_the_harm_is_learned_as_a_line():
    # Accuracy is 1 - 2 * (1 - mean reliability) in every cell.
    stated = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7]
    cells = [
        (f"{n}", f"g{n % 3}", r, round(1000 * (2 * r - 1)), round(1000 * (2 - 2 * r)))
        for n, r in enumerate(stated)
    ]
    estimate = fitted(cells).accuracy(np.full(500, 0.65))
    np.testing.assert_allclose(estimate.value, 0.3)
    assert estimate.low <= 0.3 <= estimate.high
    assert fitted(cells).accuracy(np.full(5, 0.1)).value == 0.0  # and stays a share


def test_few_cells_are_no_line():
    cells = [("a", "g", 0.9, 80, 20), ("b", "h", 0.8, 60, 40), ("c", "i", 0.7, 40, 60)]
    assert fitted(cells).accuracy(np.array([0.6])).value == 0.6


def test_accepted_risk_is_learned_from_accepted_answers_alone():
    reliability, correct, cells, groups = rows(
        [("a", "g", 0.9, 90, 10), ("a", "g", 0.3, 80, 20), ("b", "h", 0.9, 90, 10)]
    )
    estimator = AccuracyEstimator().fit(
        reliability, correct, cells=cells, groups=groups, accepted=reliability >= 0.5
    )
    window, accepted = np.array([0.9, 0.7, 0.1]), np.array([True, True, False])
    risk = estimator.accepted_risk(window, accepted)
    np.testing.assert_allclose(risk.value, 0.2)
    assert (risk.n_images, risk.calibration_error) == (2, 0.0)
    assert 0.0 <= risk.low <= risk.value <= risk.high <= 1.0
    assert estimator.accuracy(window).calibration_error > 0.1


def test_all_right_and_all_wrong():
    right = fitted([("a", "g", 1.0, 30, 0), ("b", "h", 1.0, 30, 0)]).accuracy(np.ones(3))
    assert (right.value, right.low, right.high) == (1.0, 1.0, 1.0)
    wrong = fitted([("a", "g", 1.0, 0, 30), ("b", "h", 1.0, 0, 30)]).accuracy(np.ones(1))
    assert (wrong.value, wrong.low) == (1.0, 0.0)  # no line from one point; the interval says it
    assert wrong.calibration_error > 1.0


def test_the_order_of_rows_does_not_matter():
    data = rows([("a", "g", 0.8, 90, 10), ("b", "h", 0.7, 70, 30), ("c", "h", 0.6, 50, 50)])
    order = np.random.default_rng(0).permutation(len(data[0]))
    one = AccuracyEstimator().fit(data[0], data[1], cells=data[2], groups=data[3])
    data = [part[order] for part in data]
    two = AccuracyEstimator().fit(data[0], data[1], cells=data[2], groups=data[3])
    window = np.full(50, 0.7)
    np.testing.assert_allclose(one.accuracy(window).low, two.accuracy(window).low)


def test_state_round_trip():
    reliability, correct, cells, groups = rows([("a", "g", 0.8, 9, 1), ("b", "h", 0.8, 7, 3)])
    for accepted in (None, reliability > 0.5):
        estimator = AccuracyEstimator(confidence_level=0.9).fit(
            reliability, correct, cells=cells, groups=groups, accepted=accepted
        )
        again = AccuracyEstimator.from_state(estimator.state())
        assert again.accuracy(reliability) == estimator.accuracy(reliability)
    yes = np.ones(len(reliability), dtype=bool)
    assert again.accepted_risk(reliability, yes) == estimator.accepted_risk(reliability, yes)


@pytest.mark.parametrize("state", [{}, {"all": np.zeros(4)}, {"confidence_level": np.array([0.9])}])
def test_incomplete_state_is_refused(state):
    with pytest.raises(InputError, match="expected confidence_level, all and accepted"):
        AccuracyEstimator.from_state(state)


@pytest.mark.parametrize("array", [np.zeros(3), np.full(4, np.nan), np.array([0.0, 1.0, 0.1, 1.0])])
def test_damaged_state_is_refused(array):
    with pytest.raises(InputError, match="fit again"):
        AccuracyEstimator.from_state({"confidence_level": np.array([0.9]), "all": array})


def test_what_cannot_be_learned_or_estimated_is_refused():
    reliability, correct, cells, groups = rows([("a", "g", 0.8, 9, 1), ("b", "h", 0.8, 7, 3)])
    fit = AccuracyEstimator().fit
    with pytest.raises(InputError, match="at least two groups"):
        fit(reliability, correct, cells=cells, groups=np.full(20, "g"))
    with pytest.raises(InputError, match="'a' in two"):
        fit(reliability, correct, cells=np.full(20, "a"), groups=groups)
    with pytest.raises(InputError, match=r"groups must have shape \(20,\)"):
        fit(reliability, correct, cells=cells, groups=groups[:5])
    with pytest.raises(InputError, match="at least one accepted"):
        fit(reliability, correct, cells=cells, groups=groups, accepted=np.zeros(20, dtype=bool))
    with pytest.raises(InputError, match="reliability"):
        fit(reliability + 1, correct, cells=cells, groups=groups)
    with pytest.raises(InputError, match="confidence_level"):
        AccuracyEstimator(confidence_level=1.0)
    with pytest.raises(NotFittedError, match="call fit first"):
        AccuracyEstimator().accuracy(reliability)
    with pytest.raises(NotFittedError, match="call fit first"):
        AccuracyEstimator().state()
    estimator = fit(reliability, correct, cells=cells, groups=groups)
    with pytest.raises(NotFittedError, match="fit with accepted"):
        estimator.accepted_risk(reliability, correct)
    estimator = fit(reliability, correct, cells=cells, groups=groups, accepted=correct)
    with pytest.raises(InputError, match="there is no risk"):
        estimator.accepted_risk(reliability, np.zeros(20, dtype=bool))
    with pytest.raises(InputError, match="reliability"):
        estimator.accuracy([])


# --- by simulation ------------------------------------------------------------------------------


def condition(rng, n, harm, trust):
    """Reliabilities of one condition, and outcomes that are as often right, short of ``trust``."""
    stated = rng.beta(8.0, 0.6 + 4.0 * harm, n)
    return stated, rng.random(n) < np.clip(stated - trust, 0.0, 1.0)


def study(rng, n_groups, spread):
    """A fitted estimator, and a window of one more group drawn like the others."""
    parts = []
    for group in range(n_groups):
        trust = rng.normal(0.0, spread)
        for severity in range(5):
            stated, right = condition(rng, 80, severity / 5, trust)
            parts.append((stated, right, f"{group}/{severity}", f"{group}"))
    estimator = AccuracyEstimator().fit(
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        cells=np.repeat([p[2] for p in parts], 80),
        groups=np.repeat([p[3] for p in parts], 80),
    )
    stated, right = condition(rng, 500, 0.5, rng.normal(0.0, spread))
    return estimator.accuracy(stated), right.mean()


@pytest.mark.parametrize("spread", [0.0, 0.04])
def test_the_interval_covers_the_accuracy_of_a_new_group_as_often_as_it_says(spread):
    rng = np.random.default_rng(1)
    results = [study(rng, 6, spread) for _ in range(250)]
    covered = sum(estimate.low <= truth <= estimate.high for estimate, truth in results)
    assert covered >= 0.92 * 250
    errors = [abs(estimate.value - truth) for estimate, truth in results]
    assert np.mean(errors) <= 0.02 + spread
    widths = [estimate.high - estimate.low for estimate, _ in results]
    assert np.mean(widths) <= 0.12 + 8 * spread  # not bought by saying nothing
