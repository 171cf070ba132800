from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.levels import classifier
from gatekeeper.levels.accuracy_process import AccuracyProcess, is_reliable
from gatekeeper.levels.classifier import DistortionClassifier, LevelSetRule
from gatekeeper.levels.rebalancing import REBALANCERS

N = 200
TEST = np.stack(np.meshgrid(*[np.linspace(0.01, 0.99, 25)] * 2), axis=-1).reshape(-1, 2)


def truth(points: np.ndarray) -> np.ndarray:
    """Right answers: 0.9 of 200 at a distance of 0.35 from the corner, a tenth of the square."""
    return np.round(N * (1 - 0.1 * (np.hypot(points[:, 0], points[:, 1]) / 0.35) ** 2)).clip(0)


def tried(n: int = 150, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points = np.random.default_rng(seed).random((n, 2))
    counts = truth(points).astype(int)
    return points, counts, is_reliable(counts, N, 0.9)


EXPECTED = is_reliable(truth(TEST), N, 0.9)


def minority_f1(found: np.ndarray) -> float:
    return float(2 * (found & EXPECTED).sum() / (found.sum() + EXPECTED.sum()))


def test_the_rule_is_the_process():
    points, counts, _ = tried(60)
    process = AccuracyProcess(N).fit(points, counts)
    rule = LevelSetRule(process, 0.9)
    verdict = process.verdict(TEST, 0.9)
    assert rule.probability(TEST) == pytest.approx(verdict.probability)
    assert (rule.is_reliable(TEST) == (verdict.margin >= 0)).all()
    assert minority_f1(rule.is_reliable(TEST)) > 0.95


@pytest.mark.parametrize("name", sorted(REBALANCERS))
def test_it_beats_the_constant_majority(name):
    points, counts, reliable = tried()
    process = AccuracyProcess(N).fit(points, counts)
    judge = DistortionClassifier(name).fit(points, reliable, process=process, threshold=0.9)
    # The constant majority predictor never says reliable: its F1 is 0. Always reliable: 0.18.
    # Under-sampling leaves some twenty levels to learn from.
    assert 0.05 < EXPECTED.mean() < 0.15
    few = name == "random_under"
    assert minority_f1(judge.is_reliable(TEST)) > (0.35 if few else 0.7)
    probability = judge.probability(TEST)
    assert ((probability >= 0) & (probability <= 1)).all()
    brier = ((probability - EXPECTED) ** 2).mean()
    constant = EXPECTED.mean() * (1 - EXPECTED.mean())
    assert brier < (0.9 if few else 0.6) * constant


def test_shuffled_labels_destroy_it():
    points, _, reliable = tried()
    shuffled = np.random.default_rng(5).permutation(reliable)
    judge = DistortionClassifier("smote").fit(points, shuffled)
    assert minority_f1(judge.is_reliable(TEST)) < 0.4
    probability = judge.probability(TEST)
    assert probability.std() < 0.1


def test_the_probability_keeps_the_order_of_the_scores():
    points, _, reliable = tried()
    judge = DistortionClassifier("smote").fit(points, reliable)
    order = np.argsort(judge._scores(TEST))
    assert (np.diff(judge.probability(TEST)[order]) >= 0).all()


def test_one_label_only_gives_a_constant():
    points = np.random.default_rng(0).random((10, 2))
    judge = DistortionClassifier("none").fit(points, np.ones(10, bool))
    assert judge.is_reliable(TEST).all()
    # Smoothed targets: 11 of 12.
    assert judge.probability(TEST) == pytest.approx(11 / 12, abs=1e-3)
    never = DistortionClassifier("none").fit(points, np.zeros(10, bool))
    assert not never.is_reliable(TEST).any()
    assert never.probability(TEST) == pytest.approx(1 / 12, abs=1e-3)


def test_the_logistic_curve_is_the_maximum_of_its_likelihood():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=200)
    reliable = generator.random(200) < expit(2 * scores - 1)
    slope, offset = classifier._logistic(scores, reliable)
    n_yes = reliable.sum()
    target = np.where(reliable, (n_yes + 1) / (n_yes + 2), 1 / (200 - n_yes + 2))

    def loss(v):
        p = expit(v[0] * scores + v[1])
        return -(target * np.log(p) + (1 - target) * np.log(1 - p)).sum()

    expected = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-6}).x
    assert [slope, offset] == pytest.approx(expected, abs=1e-3)
    assert [slope, offset] == pytest.approx([2, -1], abs=0.7)
    assert classifier._logistic(-scores, reliable)[0] == 0.0


def test_folds_hold_both_labels():
    reliable = np.arange(43) < 11
    folds = classifier._folds(reliable, 0)
    assert np.bincount(folds).tolist() == [9, 9, 9, 8, 8]
    assert sorted(np.bincount(folds[reliable]).tolist()) == [2, 2, 2, 2, 3]


def test_the_same_seed_gives_the_same_answers():
    points, _, reliable = tried()
    one, other = (DistortionClassifier("smote", seed=3).fit(points, reliable) for _ in range(2))
    assert (one.probability(TEST) == other.probability(TEST)).all()


def test_wrong_use_is_refused():
    with pytest.raises(NotFittedError, match="fit before"):
        DistortionClassifier().is_reliable(TEST)
    with pytest.raises(InputError, match="one label each"):
        DistortionClassifier("none").fit(TEST, np.ones(3, bool))
    with pytest.raises(InputError, match="SMOTE needs at least 2"):
        DistortionClassifier("smote").fit(TEST[:9], np.arange(9) < 1)
    with pytest.raises(InputError, match="rebalancers"):
        DistortionClassifier("nothing at all")
