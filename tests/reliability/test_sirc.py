"""SIRC and the feature norm by hand; where short features lower the softmax, and where not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from gatekeeper.errors import InputError
from gatekeeper.reliability import SINGLE_SCORES, FeatureNorm, Sirc
from tests.contracts.predictor import PredictorContract, StoredPredictorContract, looks
from tests.reliability.test_scores import evidence_of


def looks_with_norms(n, *, seed=11):
    """Features that grow with the strength of the logits."""
    evidence, labels = looks(n, seed=seed)
    rng = np.random.default_rng(seed + 2)
    features = np.abs(rng.normal(size=(n, 12))) * (1.0 + evidence.signals[:, :1])
    return replace(evidence, features=features.astype(np.float32)), labels


class TestSircContract(StoredPredictorContract):
    def build(self):
        return Sirc()

    def looks(self, n, *, seed=11):
        return looks_with_norms(n, seed=seed)


class TestFeatureNormContract(PredictorContract):
    def build(self):
        return FeatureNorm()

    def looks(self, n, *, seed=11):
        return looks_with_norms(n, seed=seed)


def with_features(logits, features):
    return replace(evidence_of(logits), features=np.asarray(features, dtype=float))


def test_values_by_hand():
    """Norms 8 and 12: mean 10, deviation 2, so a = 4 and b = 1/2."""
    fit = with_features(np.zeros((2, 2)), [[-3.0, 5.0], [6.0, 6.0]])
    ours = Sirc().fit(fit, np.array([0, 1]))
    assert (ours.threshold_, ours.sharpness_) == (4.0, 0.5)
    look = with_features(np.log([[1.0, 3.0], [1.0, 3.0], [9.0, 1.0]]), [[4, 0], [0, -6], [0, 0]])
    paper = -np.array([0.25 * 2.0, 0.25 * (1.0 + np.exp(-1.0)), 0.1 * (1.0 + np.exp(2.0))])
    np.testing.assert_allclose(ours.score(look), -np.log(-paper))
    np.testing.assert_array_equal(FeatureNorm().score(look), [4.0, 6.0, 0.0])


def test_the_order_is_that_of_the_papers_product(rng):
    evidence, labels = looks_with_norms(500)
    ours = Sirc().fit(evidence, labels)
    norms = np.abs(evidence.features).sum(axis=1, dtype=np.float64)
    a, b = norms.mean() - 3.0 * norms.std(), 1.0 / norms.std()
    doubt = 1.0 - special.softmax(evidence.logits.astype(np.float64), axis=1).max(axis=1)
    product = -doubt * (1.0 + np.exp(-b * (norms - a)))
    np.testing.assert_allclose(np.exp(-ours.score(evidence)), -product, rtol=1e-6)


def test_ordinary_features_leave_the_order_of_the_softmax(rng):
    logits = rng.normal(0.0, 2.0, (300, 5))
    ours = Sirc().fit(with_features(logits, rng.normal(100.0, 1.0, (300, 1))), np.zeros(300, int))
    same = with_features(logits, np.full((300, 1), 100.0))
    assert (
        stats.kendalltau(ours.score(same), SINGLE_SCORES["max_softmax"].score(same)).statistic == 1
    )
    short = with_features(logits, np.full((300, 1), 60.0))
    assert (ours.score(short) < ours.score(same) - 30.0).all()


def test_certain_answers_and_features_of_zero_are_finite():
    ours = Sirc.from_state({"threshold": np.array(1e6), "sharpness": np.array(1e3)})
    declared = evidence_of(np.array([[0.0, -np.inf], [0.0, -np.inf]]), "log_probabilities")
    scores = ours.score(replace(declared, features=np.array([[2e6], [0.0]])))
    assert scores == pytest.approx([708.396, 708.396 - 1e9], rel=1e-6)


def test_a_tiny_doubt_keeps_its_digits():
    ours = Sirc.from_state({"threshold": np.array(-1e3), "sharpness": np.array(1.0)})
    scores = ours.score(with_features([[50.0, 0.0], [51.0, 0.0]], np.zeros((2, 1))))
    assert scores == pytest.approx([50.0, 51.0])


def test_norms_that_do_not_vary_are_refused():
    fit = with_features(np.zeros((3, 2)), np.full((3, 4), 0.1))
    with pytest.raises(InputError, match=r"norms that vary, got 3 looks.*not normalised"):
        Sirc().fit(fit, np.zeros(3, dtype=int))


def test_a_sharpness_that_turns_the_order_is_refused():
    with pytest.raises(InputError, match="expected a positive sharpness, got -1"):
        Sirc.from_state({"threshold": np.array(1.0), "sharpness": np.array(-1.0)})


def test_evidence_without_features_is_refused():
    bare = evidence_of(np.zeros((2, 3)))
    for score, name in ((Sirc(), "SIRC"), (FeatureNorm(), "the feature norm")):
        with pytest.raises(InputError, match=f"{name} reads the classifier's features.*has none"):
            score.fit(bare, np.zeros(2, dtype=int))
    with pytest.raises(InputError, match="labels must lie in 0…2"):
        FeatureNorm().fit(replace(bare, features=np.ones((2, 1))), np.array([0, 3]))
