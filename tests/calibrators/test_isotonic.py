"""Isotonic calibration against scikit-learn at the knots, and by hand between them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from sklearn.isotonic import IsotonicRegression

from gatekeeper.calibrators import IsotonicCalibrator, LogisticCalibrator
from gatekeeper.errors import InputError
from tests.contracts.calibrator import CalibratorContract


class TestContract(CalibratorContract):
    # The lines between the pools move the mean, by less than its standard error (0.007 here).
    mean_gap = 0.007

    def build(self):
        return IsotonicCalibrator()


@pytest.mark.parametrize("decimals", [8, 1])  # with 1 decimal, most scores tie
def test_knots_are_the_pools_of_an_independent_fit(rng, decimals):
    scores = np.round(rng.normal(0.5, 1.0, 2_000), decimals)
    correct = rng.random(2_000) < special.expit(scores)
    ours = IsotonicCalibrator().fit(scores, correct)
    theirs = IsotonicRegression().fit(scores, correct).predict(scores)
    pools = np.unique(theirs)
    centres = [scores[theirs == value].mean() for value in pools]
    np.testing.assert_allclose(ours.knots_, centres, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.values_[1:-1], pools[1:-1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.reliability(np.array(centres)), ours.values_, atol=1e-12)


def test_by_hand():
    """Pools: {0, 1} with 0 of 2, {2, 3, 4} with 1 of 3, {5, 6} with 2 of 2."""
    correct = np.array([0, 0, 1, 0, 0, 1, 1], dtype=bool)
    calibrator = IsotonicCalibrator().fit(np.arange(7.0), correct)
    np.testing.assert_allclose(calibrator.knots_, [0.5, 3.0, 5.5])
    np.testing.assert_allclose(calibrator.values_, [1 / 4, 1 / 3, 3 / 4])
    between = calibrator.reliability(np.array([-9.0, 0.5, 1.75, 4.25, 5.5, 9.0]))
    np.testing.assert_allclose(between, [1 / 4, 1 / 4, 7 / 24, 13 / 24, 3 / 4, 3 / 4])


def test_a_counted_end_does_not_overtake_its_neighbour():
    """One wrong answer counts 1/3, one right answer 2/3: both are held to the pools beside them."""
    scores = np.concatenate([[0.0], np.repeat([1.0, 2.0], 10), [3.0]])
    correct = np.concatenate([[False], np.arange(10) < 1, np.arange(10) < 9, [True]])
    assert IsotonicCalibrator().fit(scores, correct).values_ == pytest.approx([0.1, 0.1, 0.9, 0.9])


def test_ties_count_together_whatever_their_order(rng):
    scores = np.repeat([1.0, 2.0, 3.0], 20)
    correct = rng.random(60) < np.repeat([0.3, 0.5, 0.9], 20)
    order = rng.permutation(60)
    first = IsotonicCalibrator().fit(scores, correct)
    again = IsotonicCalibrator().fit(scores[order], correct[order])
    np.testing.assert_array_equal(first.values_, again.values_)
    np.testing.assert_allclose(first.values_, correct.reshape(3, 20).mean(axis=1))


def test_thousands_of_scores_keep_thousands_of_reliabilities(rng):
    scores = rng.normal(3.0, 2.0, 5_000)
    correct = rng.random(5_000) < special.expit(scores)
    reliability = IsotonicCalibrator().fit(scores, correct).reliability(scores)
    assert len(np.unique(reliability)) > 4_000
    assert len(np.unique(IsotonicRegression().fit_transform(scores, correct))) < 100
    assert reliability.min() > 0.0
    assert reliability.max() < 1.0


def test_it_finds_a_shape_that_no_logistic_curve_has(rng):
    scores = rng.uniform(size=20_000)
    truth = np.where(scores < 0.7, 0.6, 0.95)
    correct = rng.random(20_000) < truth
    ours = IsotonicCalibrator().fit(scores, correct).reliability(scores)
    logistic = LogisticCalibrator().fit(scores, correct).reliability(scores)
    assert np.abs(ours - truth).mean() < 0.015
    assert np.abs(logistic - truth).mean() > 0.03


def test_with_context_the_link_is_the_logistic_one(rng):
    scores, context = rng.normal(size=1_000), rng.normal(size=(1_000, 1))
    correct = rng.random(1_000) < special.expit(scores - context[:, 0])
    ours = IsotonicCalibrator().fit(scores, correct, context=context)
    logistic = LogisticCalibrator().fit(scores, correct, context=context)
    z = special.logit(logistic.reliability(scores, context=context))
    np.testing.assert_allclose(
        ours.reliability(scores, context=context),
        IsotonicCalibrator().fit(z, correct).reliability(z),
        atol=1e-9,
    )


@pytest.mark.parametrize(
    ("knots", "values", "message"),
    [
        ([], [], "got 0 knots and 0 values"),
        ([1.0, 2.0], [0.5], "got 2 knots and 1 values"),
        ([1.0, 1.0], [0.4, 0.5], "strictly rising knots"),
        ([1.0, 2.0], [0.5, 0.4], r"rise within \[0, 1\]"),
        ([1.0, 2.0], [-0.1, 0.4], r"rise within \[0, 1\]"),
        ([1.0, 2.0], [0.1, 1.4], r"rise within \[0, 1\]"),
    ],
)
def test_a_state_out_of_order_is_refused(knots, values, message):
    fitted = IsotonicCalibrator().fit(np.array([0.1, 0.2]), np.array([False, True]))
    state = {**fitted.state(), "knots": np.array(knots), "values": np.array(values)}
    with pytest.raises(InputError, match=message):
        IsotonicCalibrator.from_state(state)


def test_a_score_that_many_rows_share_weighs_as_many():
    """1 of 1, 4 of 9 and 6 of 10: the first two pool to 0.5; unweighted they would pass 0.6."""
    scores = np.repeat([1.0, 2.0, 3.0], [1, 9, 10])
    correct = np.concatenate([[True], np.arange(9) < 4, np.arange(10) < 6])
    calibrator = IsotonicCalibrator().fit(scores, correct)
    np.testing.assert_allclose(calibrator.knots_, [1.9, 3.0])
    np.testing.assert_allclose(calibrator.values_, [0.5, 0.6])
