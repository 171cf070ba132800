"""Beta calibration against known parameters and its identity."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from gatekeeper.calibrators import BetaCalibrator, LogisticCalibrator
from gatekeeper.errors import InputError
from tests.contracts.calibrator import CalibratorContract


class TestContract(CalibratorContract):
    def build(self):
        return BetaCalibrator()


def test_known_parameters_are_recovered(rng):
    scores = rng.beta(2.0, 1.5, 40_000)
    z = 1.7 * np.log(scores) - 0.6 * np.log(1.0 - scores) + 0.8
    link = BetaCalibrator().fit(scores, rng.random(40_000) < special.expit(z)).link_
    assert link.score_weights == pytest.approx([1.7, 0.6], rel=0.06)
    assert link.intercept == pytest.approx(0.8, rel=0.08)


def test_calibrated_scores_stay_as_they_are(rng):
    scores = rng.beta(2.0, 1.0, 40_000)
    correct = rng.random(40_000) < scores
    grid = np.linspace(0.05, 0.99, 40)
    np.testing.assert_allclose(
        BetaCalibrator().fit(scores, correct).reliability(grid), grid, atol=0.015
    )
    # ... which a logistic curve of the score cannot do.
    logistic = LogisticCalibrator().fit(scores, correct).reliability(grid)
    assert np.abs(logistic - grid).max() > 0.03


def test_a_shape_that_needs_a_negative_weight_gets_none(rng):
    scores = rng.uniform(0.01, 0.99, 20_000)
    z = 2.0 * np.log(scores) + 0.7 * np.log(1.0 - scores) + 1.5  # falls near 1
    link = BetaCalibrator().fit(scores, rng.random(20_000) < special.expit(z)).link_
    assert link.score_weights[0] > 0.5
    assert link.score_weights[1] == 0.0


def test_scores_of_exactly_0_and_1_are_finite(rng):
    scores = np.concatenate([[0.0, 1.0], rng.uniform(size=200)])
    calibrator = BetaCalibrator().fit(scores, rng.random(202) < scores)
    low, high = calibrator.reliability(np.array([0.0, 1.0]))
    assert 0.0 <= low < 0.05
    assert 0.95 < high <= 1.0


@pytest.mark.parametrize("outside", [-0.01, 1.01])
def test_scores_that_are_no_probabilities_are_refused(outside):
    with pytest.raises(InputError, match=r"needs scores in \[0, 1\]"):
        BetaCalibrator().fit(np.array([0.5, outside]), np.array([True, False]))
    fitted = BetaCalibrator().fit(np.array([0.5, 0.6]), np.array([False, True]))
    with pytest.raises(InputError, match=r"needs scores in \[0, 1\]"):
        fitted.reliability(np.array([outside]))
