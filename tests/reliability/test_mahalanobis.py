"""Mahalanobis score by hand and against scikit-learn's Ledoit–Wolf covariance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from gatekeeper.errors import InputError
from gatekeeper.metrics.selective import failure_auroc
from gatekeeper.reliability import Mahalanobis
from gatekeeper.reliability.mahalanobis import shrunk_covariance
from tests.contracts.predictor import StoredPredictorContract, looks
from tests.reliability.test_scores import evidence_of


def looks_with_features(n, *, seed=11):
    """Features that lie at their class the more closely the stronger the logits are."""
    evidence, labels = looks(n, seed=seed)
    rng = np.random.default_rng(seed + 1)
    noise = rng.normal(size=(n, 8)) * (6.5 - evidence.signals[:, :1])
    features = np.eye(5, 8)[labels] * 20.0 + noise + 100.0
    return replace(evidence, features=features.astype(np.float32)), labels


class TestContract(StoredPredictorContract):
    def build(self):
        return Mahalanobis()

    def looks(self, n, *, seed=11):
        return looks_with_features(n, seed=seed)


def evidence_with(features, n_classes=2):
    features = np.asarray(features, dtype=float)
    return replace(evidence_of(np.zeros((len(features), n_classes))), features=features)


def test_values_by_hand():
    """Residuals ±1 across and ±2 down: covariance diag(1/2, 2), shrunk by nothing that is seen."""
    corners = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    fit = evidence_with(np.concatenate([corners, corners + np.array([10.0, 0.0])]))
    labels = np.repeat([0, 1], 4)
    covariance, amount = shrunk_covariance(np.concatenate([corners, corners]))
    # S = diag(1/2, 2); the rows' fourth moment is (1 + 16)/2, so β² = (17/2 − 17/4)/8, δ² = 9/8.
    assert amount == pytest.approx((17 / 4 / 8) / (9 / 8))
    across, down = 0.5 + amount * 0.75, 2.0 - amount * 0.75
    np.testing.assert_allclose(covariance, np.diag([across, down]), rtol=1e-8)
    scores = (
        Mahalanobis()
        .fit(fit, labels)
        .score(evidence_with([[0.0, 0.0], [10.0, 3.0], [4.0, 0.0], [7.0, 1.0]]))
    )
    expected = [0.0, 9.0 / down, 16.0 / across, 9.0 / across + 1.0 / down]
    np.testing.assert_allclose(scores, -np.array(expected), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("n", "width"), [(200, 4), (60, 40), (20, 50)])
def test_covariance_is_that_of_scikit_learn(rng, n, width):
    residuals = rng.normal(size=(n, width)) * np.linspace(0.1, 3.0, width)
    theirs, amount = ledoit_wolf(residuals, assume_centered=True)
    ours, ours_amount = shrunk_covariance(residuals)
    assert ours_amount == pytest.approx(amount)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_values_against_scikit_learn(rng):
    evidence, labels = looks_with_features(300)
    features = evidence.features.astype(np.float64)
    means = np.stack([features[labels == c].mean(axis=0) for c in range(5)])
    precision = np.linalg.inv(ledoit_wolf(features - means[labels], assume_centered=True)[0])
    fresh = looks_with_features(40, seed=3)[0]
    apart = fresh.features[:, None, :].astype(np.float64) - means
    expected = -np.einsum("bcf,fg,bcg->bc", apart, precision, apart).min(axis=1)
    np.testing.assert_allclose(
        Mahalanobis().fit(evidence, labels).score(fresh), expected, rtol=1e-6
    )


def test_features_far_from_every_class_score_lowest():
    ours = Mahalanobis().fit(*looks_with_features(500))
    near, _ = looks_with_features(200, seed=4)
    far = replace(near, features=near.features + np.float32(60.0))
    assert (
        failure_auroc(
            np.concatenate([ours.score(near), ours.score(far)]), np.repeat([True, False], 200)
        )
        > 0.99
    )


def test_a_class_that_never_occurred_has_no_mean():
    fit = evidence_with([[0.0], [1.0], [10.0], [11.0]], n_classes=3)
    ours = Mahalanobis().fit(fit, np.array([0, 0, 2, 2]))
    assert ours.means_.shape == (2, 1)
    np.testing.assert_allclose(ours.score(evidence_with([[0.5], [10.5]], 3)), 0.0, atol=1e-9)


def test_fewer_looks_than_features_still_have_an_inverse(rng):
    fit = evidence_with(rng.normal(size=(4, 30)))
    scores = (
        Mahalanobis()
        .fit(fit, np.array([0, 0, 1, 1]))
        .score(evidence_with(rng.normal(size=(9, 30))))
    )
    assert np.isfinite(scores).all()
    assert scores.max() < 0.0


def test_two_looks_show_a_single_direction():
    """Off that direction nothing varied, so a step there is far; it stays finite."""
    fit = evidence_with([[1.0, 0.0], [-1.0, 0.0]])
    along, off = (
        Mahalanobis().fit(fit, np.array([0, 0])).score(evidence_with([[2.0, 0.0], [0.0, 2.0]]))
    )
    assert along == pytest.approx(-4.0, rel=1e-6)
    assert -np.inf < off < -1e6


def test_features_that_do_not_vary_are_refused():
    with pytest.raises(InputError, match=r"must vary within a class.*more looks per class"):
        Mahalanobis().fit(evidence_with([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 1]))


def test_evidence_without_the_features_of_fit_is_refused():
    ours = Mahalanobis().fit(*looks_with_features(50))
    bare = replace(looks_with_features(3)[0], features=None)
    with pytest.raises(
        InputError, match=r"Mahalanobis score reads the classifier's features.*none"
    ):
        ours.score(bare)
    with pytest.raises(InputError, match="with the 8 columns of fit, got 2"):
        ours.score(evidence_with(np.zeros((1, 2)), 5))
    with pytest.raises(InputError, match="features must be finite, got 1 NaN"):
        Mahalanobis().fit(evidence_with([[np.nan], [1.0]]), np.array([0, 1]))
    with pytest.raises(InputError, match=r"features must have shape \(B, F\) with F at least 1"):
        Mahalanobis().fit(evidence_with(np.zeros((2, 0))), np.array([0, 1]))
