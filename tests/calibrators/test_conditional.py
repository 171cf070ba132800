"""The conditional link against known parameters, scikit-learn and its own optimum condition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression

from gatekeeper.calibrators import LogisticCalibrator
from gatekeeper.calibrators.conditional import ConditionalLink


def drawn(rng, n=20_000):
    """Slope and height both move with the first of two coordinates."""
    scores, points = rng.normal(3.0, 2.0, n), rng.normal(size=(n, 2))
    x = np.clip(points, -3.0, 3.0)
    z = np.exp(0.3 + 0.4 * x[:, 0]) * (scores - 3.0) / 2.0 + 0.5 - 0.8 * x[:, 0]
    return scores, points, rng.random(n) < special.expit(z), z


def test_known_parameters_are_recovered(rng):
    scores, points, correct, _ = drawn(rng)
    link = ConditionalLink.fit(scores, points, correct, ridge=1.0)
    np.testing.assert_allclose(link.tilt, [0.3, 0.4, 0.0], atol=0.05)
    np.testing.assert_allclose(link.height, [0.5, -0.8, 0.0], atol=0.06)


def test_an_infinite_ridge_is_logistic_calibration(rng):
    scores, points, correct, _ = drawn(rng, n=2_000)
    ours = ConditionalLink.fit(scores, points, correct, ridge=np.inf)
    assert ours.tilt[1:].tolist() == ours.height[1:].tolist() == [0.0, 0.0]
    theirs = LogisticCalibrator().fit(scores, correct).reliability(scores)
    np.testing.assert_allclose(special.expit(ours.log_odds(scores, points)), theirs, atol=1e-4)


def test_with_a_constant_slope_it_is_ridge_logistic_regression(rng):
    """Where scores are constant only heights are learned; the ridge is scikit-learn's 1 / C."""
    points = rng.normal(size=(1_500, 3))
    correct = rng.random(1_500) < special.expit(0.3 + points @ [1.0, -0.5, 0.0])
    link = ConditionalLink.fit(np.ones(1_500), points, correct, ridge=50.0)
    theirs = LogisticRegression(C=1 / 50.0, tol=1e-10, max_iter=1_000)
    theirs.fit(np.clip(points, -3.0, 3.0), correct)
    np.testing.assert_allclose(link.height[1:], theirs.coef_[0], atol=5e-3)  # Platt
    assert link.height[0] == pytest.approx(theirs.intercept_[0], abs=5e-3)


def test_at_the_optimum_the_mean_is_that_of_the_outcomes(rng):
    scores, points, correct, _ = drawn(rng, n=800)
    link = ConditionalLink.fit(scores, points, correct, ridge=100.0)
    stated = special.expit(link.log_odds(scores, points))
    n_right, n_wrong = correct.sum(), (~correct).sum()
    targets = (n_right * (n_right + 1) / (n_right + 2) + n_wrong / (n_wrong + 2)) / 800
    assert stated.mean() == pytest.approx(targets, abs=1e-5)


def test_a_stronger_ridge_holds_the_context_back(rng):
    scores, points, correct, _ = drawn(rng, n=1_000)
    sizes = [
        np.abs(ConditionalLink.fit(scores, points, correct, ridge=ridge).height[1])
        for ridge in (1.0, 100.0, 10_000.0, np.inf)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0.6
    assert sizes[-1] == 0.0


def test_log_odds_by_hand():
    link = ConditionalLink(
        centre=1.0, spread=2.0, tilt=np.array([0.0, np.log(2.0)]), height=np.array([0.5, -1.0])
    )
    scores, points = np.array([3.0, 3.0, 3.0, 1.0]), np.array([[0.0], [1.0], [9.0], [-9.0]])
    expected = [1.0 + 0.5, 2.0 + 0.5 - 1.0, 8.0 + 0.5 - 3.0, 0.5 + 3.0]
    np.testing.assert_allclose(link.log_odds(scores, points), expected)


def test_the_tilt_is_bounded():
    link = ConditionalLink(
        centre=0.0, spread=1.0, tilt=np.array([0.0, 5.0]), height=np.array([0.0, 0.0])
    )
    found = link.log_odds(np.ones(2), np.array([[3.0], [-3.0]]))
    np.testing.assert_allclose(found, [np.exp(3.0), np.exp(-3.0)])


def test_misleading_scores_are_flattened_not_turned_round(rng):
    scores, points, correct, _ = drawn(rng, n=2_000)
    link = ConditionalLink.fit(-scores, points[:, :0], correct, ridge=np.inf)
    z = link.log_odds(np.array([-9.0, 9.0]), np.zeros((2, 0)))
    assert 0.0 <= z[1] - z[0] < 0.05
