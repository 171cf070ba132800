"""MaxLogit-pNorm by hand and against numpy's norms; when it gives way to the softmax."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from gatekeeper.errors import InputError
from gatekeeper.metrics.selective import aurc
from gatekeeper.reliability import SINGLE_SCORES, MaxLogitPNorm
from gatekeeper.reliability.pnorm import max_logit_pnorm
from tests.contracts.predictor import StoredPredictorContract
from tests.reliability.test_scores import evidence_of


class TestContract(StoredPredictorContract):
    def build(self):
        return MaxLogitPNorm()


def fitted_with(exponent):
    return MaxLogitPNorm.from_state({"exponent": np.array(float(exponent))})


def test_values_by_hand():
    """(3, 0, 0) centred is (2, −1, −1): norms 4, √6, ∛10."""
    evidence = evidence_of([[3.0, 0.0, 0.0], [103.0, 100.0, 100.0], [0.03, 0.0, 0.0]])
    for exponent, norm in ((1, 4.0), (2, np.sqrt(6.0)), (3, np.cbrt(10.0))):
        np.testing.assert_allclose(fitted_with(exponent).score(evidence), np.full(3, 2.0 / norm))


@pytest.mark.parametrize("exponent", [1, 2, 5, 10])
def test_values_against_numpy(rng, exponent):
    logits = rng.normal(0.0, 5.0, (50, 7))
    centred = logits - logits.mean(axis=1, keepdims=True)
    expected = centred.max(axis=1) / np.linalg.norm(centred, exponent, axis=1)
    np.testing.assert_allclose(fitted_with(exponent).score(evidence_of(logits)), expected)


def swollen(rng, n=3_000, n_classes=6):
    """Half of the looks have noisy logits that are blown up: softmax is surest where it errs."""
    labels = rng.integers(0, n_classes, n)
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), labels] += rng.uniform(1.0, 5.0, n)
    noisy = rng.random(n) < 0.5
    logits[noisy] = 12.0 * (logits[noisy] + rng.normal(0.0, 3.0, (int(noisy.sum()), n_classes)))
    return evidence_of(logits), labels


def test_it_repairs_logits_that_swell_where_the_answer_is_wrong(rng):
    evidence, labels = swollen(rng)
    ours = MaxLogitPNorm().fit(evidence, labels)
    assert ours.exponent_ > 0
    fresh, truth = swollen(rng)
    correct = fresh.labels == truth
    repaired = aurc(ours.score(fresh), correct)
    assert repaired < aurc(SINGLE_SCORES["max_softmax"].score(fresh), correct) - 0.02


def test_the_exponent_has_the_smallest_aurc_of_all(rng):
    evidence, labels = swollen(rng, n=400)
    correct = evidence.labels == labels
    areas = [aurc(max_logit_pnorm(evidence.logits, p), correct) for p in range(1, 11)]
    assert MaxLogitPNorm().fit(evidence, labels).exponent_ == 1 + int(np.argmin(areas))


def test_without_gain_it_is_the_softmax(rng):
    """Labels drawn from the softmax itself: nothing orders better than its largest probability."""
    logits = rng.normal(0.0, 2.0, (4_000, 5)) * rng.uniform(0.2, 3.0, (4_000, 1))
    labels = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    evidence = evidence_of(logits)
    ours = MaxLogitPNorm().fit(evidence, labels)
    assert ours.exponent_ == 0
    np.testing.assert_array_equal(
        ours.score(evidence), SINGLE_SCORES["max_softmax"].score(evidence)
    )


@pytest.mark.parametrize("right", [True, False])
def test_where_all_are_right_or_all_wrong_there_is_no_gain(rng, right):
    logits = rng.normal(size=(40, 5))
    labels = logits.argmax(axis=1) if right else logits.argmin(axis=1)
    assert MaxLogitPNorm().fit(evidence_of(logits), labels).exponent_ == 0


def test_with_two_classes_it_is_the_softmax(rng):
    logits = rng.normal(size=(200, 2))
    np.testing.assert_allclose(max_logit_pnorm(logits, 4), 2.0**-0.25)
    evidence = evidence_of(logits)
    ours = MaxLogitPNorm().fit(evidence, rng.integers(0, 2, 200))
    assert ours.exponent_ == 0
    assert np.ptp(ours.score(evidence)) > 0.2


def test_logits_that_tie_or_are_huge_are_finite():
    logits = np.array([[4.0, 4.0, 4.0], [1e300, -1e300, 0.0], [1e-300, 0.0, 0.0]])
    np.testing.assert_allclose(max_logit_pnorm(logits, 10), [0.0, 2.0**-0.1, (1 + 2**-9) ** -0.1])


def test_log_probabilities_give_the_same_as_their_logits(rng):
    logits = rng.normal(size=(30, 4))
    shifted = evidence_of(special.log_softmax(logits, axis=1), "log_probabilities")
    np.testing.assert_allclose(
        fitted_with(3).score(shifted), fitted_with(3).score(evidence_of(logits)), atol=1e-12
    )


def test_a_probability_of_zero_is_refused():
    evidence = evidence_of([[0.0, -np.inf, -np.inf]], "log_probabilities")
    with pytest.raises(InputError, match=r"p-norm needs finite log-probabilities.*use max_softmax"):
        fitted_with(2).score(evidence)


@pytest.mark.parametrize("exponent", [-1.0, 2.5, 11.0])
def test_an_exponent_that_is_never_chosen_is_refused(exponent):
    with pytest.raises(InputError, match="expected an exponent in 0…10"):
        fitted_with(exponent)
