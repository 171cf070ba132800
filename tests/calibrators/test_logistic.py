"""Logistic calibration against known parameters, its own optimum condition and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression

from gatekeeper.calibrators import LogisticCalibrator
from tests.contracts.calibrator import CalibratorContract


class TestContract(CalibratorContract):
    def build(self):
        return LogisticCalibrator()


def simulated(rng, n=30_000):
    scores = rng.normal(100.0, 20.0, n)  # far from standardised, to test the units
    context = np.column_stack([rng.normal(0.0, 1e-3, n), rng.normal(5.0, 2.0, n)])
    z = 0.08 * scores + context @ [900.0, -0.5] - 6.0
    return scores, context, rng.random(n) < special.expit(z)


def test_known_parameters_are_recovered(rng):
    scores, context, correct = simulated(rng)
    link = LogisticCalibrator().fit(scores, correct, context=context).link_
    assert link.score_weights == pytest.approx([0.08], rel=0.05)
    assert link.context_weights == pytest.approx([900.0, -0.5], rel=0.05)
    assert link.intercept == pytest.approx(-6.0, rel=0.06)


def test_it_agrees_with_an_independent_fit(rng):
    scores, context, correct = simulated(rng, n=3_000)
    ours = LogisticCalibrator().fit(scores, correct, context=context)
    columns = np.column_stack([scores, context])
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    theirs = LogisticRegression(C=1e6, tol=1e-10, max_iter=1_000).fit(columns, correct)
    # What remains is Platt's smoothing, of the order of 1/n.
    np.testing.assert_allclose(
        ours.reliability(scores, context=context),
        theirs.predict_proba(columns)[:, 1],
        atol=3e-3,
    )


def test_the_mean_is_that_of_the_smoothed_targets(rng):
    scores, context, correct = simulated(rng, n=500)
    n_right, n_wrong = correct.sum(), (~correct).sum()
    targets = (n_right * (n_right + 1) / (n_right + 2) + n_wrong / (n_wrong + 2)) / 500
    reliability = (
        LogisticCalibrator()
        .fit(scores, correct, context=context)
        .reliability(scores, context=context)
    )
    assert reliability.mean() == pytest.approx(targets, abs=1e-7)


def test_two_rows_by_hand():
    """Right at 1, wrong at 0: targets 2/3 and 1/3, met by slope 2·ln 2 and intercept −ln 2."""
    calibrator = LogisticCalibrator().fit(np.array([0.0, 1.0]), np.array([False, True]))
    # The ridge of 0.01 rows holds back a little: (σ(z) − 2/3) + 0.01·w/2 = 0 at w = z.
    np.testing.assert_allclose(
        calibrator.reliability(np.array([0.0, 1.0])), [1 / 3, 2 / 3], atol=4e-3
    )
    assert calibrator.reliability(np.array([0.5])) == pytest.approx([0.5], abs=1e-9)


def test_a_constant_context_changes_nothing(rng):
    scores, _, correct = simulated(rng, n=400)
    plain = LogisticCalibrator().fit(scores, correct)
    beside = LogisticCalibrator().fit(scores, correct, context=np.full((400, 1), 0.1))
    assert beside.link_.context_weights.tolist() == [0.0]
    np.testing.assert_allclose(
        beside.reliability(scores, context=np.full((400, 1), 7.0)),
        plain.reliability(scores),
        atol=1e-6,
    )


def test_collinear_context_shares_the_weight(rng):
    scores, context, correct = simulated(rng, n=2_000)
    column = context[:, 1:]
    once = LogisticCalibrator().fit(scores, correct, context=column).link_
    twice = LogisticCalibrator().fit(scores, correct, context=np.hstack([column, column])).link_
    assert twice.context_weights[0] == pytest.approx(twice.context_weights[1], rel=1e-6)
    assert twice.context_weights.sum() == pytest.approx(once.context_weights[0], rel=1e-3)


def test_separable_context_stays_finite():
    context = np.linspace(-1.0, 1.0, 30)[:, None]
    correct = context[:, 0] > 0
    reliability = (
        LogisticCalibrator()
        .fit(np.zeros(30), correct, context=context)
        .reliability(np.zeros(30), context=context)
    )
    assert 0.0 < reliability[0] < 0.1
    assert 0.9 < reliability[-1] < 1.0
