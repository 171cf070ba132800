"""The learned predictor: it learns what can be known, and nothing from permuted labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.metrics import failure_auroc
from gatekeeper.mlp import MlpOptions, log_softmax
from gatekeeper.protocols import Evidence, ReliabilityPredictor
from gatekeeper.reliability import (
    PREDICTORS,
    SINGLE_SCORES,
    LearnedPredictor,
    name_of_predictor,
    predictor,
    predictor_from_state,
    state_of_predictor,
)
from gatekeeper.reliability.familiarity import Familiarity
from gatekeeper.signals import N_SCALARS
from tests.contracts.predictor import LearnedPredictorContract, looks

LONGER = MlpOptions(hidden=64, members=1, epochs=15, batch_size=64, learning_rate=5e-3)
FAST = MlpOptions(hidden=32, members=1, epochs=5, batch_size=64)


class TestLearnedPredictor(LearnedPredictorContract):
    @pytest.fixture
    def fitted(self) -> ReliabilityPredictor:
        return self.build().fit(*looks(400))

    def build(self) -> ReliabilityPredictor:
        return LearnedPredictor(FAST)


def told_by_a_signal(n: int, seed: int) -> tuple[Evidence, np.ndarray]:
    """Looks whose logits say nothing about failure; the first signal says nearly all."""
    evidence, _ = looks(n, seed=seed)
    rng = np.random.default_rng(seed + 1000)
    logits = rng.normal(size=evidence.logits.shape).astype(np.float32)
    answers = logits.argmax(axis=1)
    bad = rng.random(n) < 0.4
    truth = np.where(bad, (answers + 1 + rng.integers(0, 4, n)) % 5, answers)
    signals = evidence.signals.copy()
    signals[:, 0] = bad + 0.3 * rng.normal(size=n)
    return replace(evidence, logits=logits, signals=signals), truth


def auroc(fitted: ReliabilityPredictor, evidence: Evidence, labels: np.ndarray) -> float:
    return failure_auroc(fitted.score(evidence), evidence.labels == labels)


def test_it_sees_what_the_logits_do_not_know() -> None:
    fitted = LearnedPredictor(LONGER).fit(*told_by_a_signal(3000, 1))
    evidence, labels = told_by_a_signal(3000, 2)
    assert abs(auroc(SINGLE_SCORES["max_softmax"], evidence, labels) - 0.5) < 0.05
    assert auroc(fitted, evidence, labels) > 0.9


def test_permuted_labels_teach_nothing() -> None:
    """Of failures that only signals and features tell: true labels well over, permuted at 0.5."""
    evidence, labels = told_by_a_signal(3000, 1)
    judged, truth = told_by_a_signal(3000, 2)
    right = evidence.labels == labels
    permuted = np.random.default_rng(3).permutation(right)
    wrong_class = (evidence.labels + 1) % 5
    blind = LearnedPredictor(LONGER).fit(evidence, np.where(permuted, evidence.labels, wrong_class))
    # 1,800 right and 1,200 wrong: the standard error of an uninformed AUROC is about 0.011.
    assert abs(auroc(blind, judged, truth) - 0.5) < 0.05
    assert auroc(LearnedPredictor(LONGER).fit(evidence, labels), judged, truth) > 0.9


def test_restored_looks_read_the_first_look() -> None:
    """Whether restored and raw answers agree is all that tells here."""
    rng = np.random.default_rng(4)

    def pair(n: int, seed: int) -> tuple[Evidence, np.ndarray]:
        first, _ = looks(n, seed=seed)
        second, _ = looks(n, seed=seed + 1)
        same = first.labels == second.labels
        other = (second.labels + 1 + rng.integers(0, 4, n)) % 5
        truth = np.where(same | (rng.random(n) < 0.2), second.labels, other)
        return second.after(first), truth

    fitted = LearnedPredictor(FAST).fit(*pair(3000, 20))
    evidence, labels = pair(3000, 30)
    assert auroc(fitted, evidence, labels) > 0.6
    alone = LearnedPredictor(FAST).fit(*(lambda e, y: (replace(e, raw=None), y))(*pair(3000, 20)))
    with_first, without = (
        auroc(fitted, evidence, labels),
        auroc(alone, replace(evidence, raw=None), labels),
    )
    assert with_first > without + 0.05


def test_what_is_unlike_all_that_was_fitted_is_trusted_less() -> None:
    evidence, labels = looks(800)
    fitted = LearnedPredictor(FAST).fit(evidence, labels)
    usual, _ = looks(200, seed=77)
    strange = usual.signals.copy()
    strange[:, 1:N_SCALARS] += 40.0
    far = replace(usual, signals=strange)
    further = replace(usual, signals=strange + 40.0)
    near_score, far_score, further_score = (fitted.score(e) for e in (usual, far, further))
    assert far_score.mean() < near_score.mean() - 1
    assert (further_score < far_score).all()


def test_a_view_that_rules_a_class_out_altogether() -> None:
    def probed(n: int, seed: int) -> tuple[Evidence, np.ndarray]:
        evidence, labels = looks(n, seed=seed)
        certain = np.full((n, 5), -np.inf, dtype=np.float32)
        certain[np.arange(n), labels] = 0.0
        return replace(evidence, probes=certain), labels

    fitted = LearnedPredictor(FAST).fit(*probed(1500, 1))
    judged, truth = probed(600, 2)
    assert np.isfinite(fitted.score(judged)).all()
    assert auroc(fitted, judged, truth) > 0.95  # the probes name the class


def test_looks_without_features() -> None:
    evidence, labels = looks(600)
    fitted = LearnedPredictor(FAST).fit(replace(evidence, features=None), labels)
    judged, truth = looks(600, seed=8)
    assert auroc(fitted, replace(judged, features=None), truth) > 0.75


@pytest.mark.parametrize("with_first", [False, True])
def test_state_round_trip_is_exact(with_first: bool) -> None:
    evidence, labels = looks(300)
    if with_first:
        evidence = evidence.after(looks(300, seed=9)[0])
    fitted = LearnedPredictor(FAST).fit(evidence, labels)
    state = {name: array.copy() for name, array in fitted.state().items()}
    again = LearnedPredictor.from_state(state)
    np.testing.assert_array_equal(again.score(evidence), fitted.score(evidence))


def test_trust_mixes_the_learned_log_odds_with_those_of_the_classifier() -> None:
    evidence, labels = looks(400)
    judged, _ = looks(50, seed=3)
    # All mixtures are lines through the same two numbers, less the same discount.
    score = {
        trust: LearnedPredictor(FAST, trust=trust).fit(evidence, labels).score(judged)
        for trust in (1, 0.5, 0.25)
    }
    own = 2 * score[0.5] - score[1]
    np.testing.assert_allclose(score[0.25], 0.25 * score[1] + 0.75 * own)
    answered = log_softmax(judged.logits)[np.arange(50), judged.labels]
    discount = Familiarity(seed=0).fit(evidence.signals[:, :N_SCALARS])
    excess = discount.excess(judged.signals[:, :N_SCALARS])
    log_odds = answered - np.log(-np.expm1(answered))
    np.testing.assert_allclose(own + 0.5 * excess, log_odds, rtol=1e-5)
    with pytest.raises(InputError, match=r"trust must be in \(0, 1\], got 0"):
        LearnedPredictor(trust=0)


def test_without_corrections_the_views_count_like_the_first_look() -> None:
    """By hand: the normalised geometric mean over the image and its view."""
    rng = np.random.default_rng(0)
    evidence, labels = looks(400)
    evidence = replace(evidence, probes=log_softmax(rng.normal(size=(400, 5)).astype(np.float32)))
    half, whole = (
        LearnedPredictor(FAST, trust=trust).fit(evidence, labels).score(evidence)
        for trust in (0.5, 1)
    )
    p = np.exp(log_softmax(evidence.logits.astype(np.float64)))
    mean = np.sqrt(p * np.exp(evidence.probes.astype(np.float64)))
    mean /= mean.sum(axis=1, keepdims=True)
    answered = mean[np.arange(400), evidence.labels]
    excess = Familiarity(seed=0).fit(evidence.signals[:, :N_SCALARS])
    discount = 0.5 * excess.excess(evidence.signals[:, :N_SCALARS])
    np.testing.assert_allclose(
        2 * half - whole + discount, np.log(answered / (1 - answered)), rtol=1e-4, atol=1e-4
    )


def test_probes_that_are_no_views_of_all_classes_are_refused() -> None:
    evidence, labels = looks(100)
    with pytest.raises(InputError, match="expected 5 probes per view, one per class, got 7"):
        LearnedPredictor(FAST).fit(replace(evidence, probes=np.zeros((100, 7))), labels)


def test_a_predictor_is_rebuilt_from_its_name_and_arrays() -> None:
    evidence, labels = looks(300)
    fitted = predictor("mahalanobis").fit(evidence, labels)
    again = predictor_from_state(name_of_predictor(fitted), state_of_predictor(fitted))
    np.testing.assert_array_equal(again.score(evidence), fitted.score(evidence))
    assert state_of_predictor(predictor("entropy")) == {}
    assert predictor_from_state("entropy", {}) is predictor("entropy")


def test_predictors_by_name() -> None:
    for name in PREDICTORS:
        assert isinstance(predictor(name), ReliabilityPredictor)
        assert name_of_predictor(predictor(name)) == name
    assert predictor("margin") is SINGLE_SCORES["margin"]
    assert isinstance(predictor("learned"), LearnedPredictor)
    assert predictor("learned") is not predictor("learned")


def test_an_unknown_predictor_is_refused_with_near_matches() -> None:
    with pytest.raises(InputError, match=r"energy, .*got 'max_softmx'; did you mean max_softmax"):
        predictor("max_softmx")
    with pytest.raises(InputError, match=r"got 'zzz'$"):
        predictor("zzz")
