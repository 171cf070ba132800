"""Vector scaling against scikit-learn where the two coincide, and by its optimum condition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression

from gatekeeper.calibrators import TemperatureScaler, VectorScaler
from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.protocols import LogitScaler

WEIGHTS, OFFSETS = np.array([0.5, 1.0, 2.0]), np.array([1.0, 0.0, -1.0])


def drawn(rng, n=10_000):
    """Logits and labels drawn from softmax(WEIGHTS · logits + OFFSETS)."""
    logits = rng.normal(0.0, 2.0, (n, 3))
    noise = rng.gumbel(size=logits.shape)
    return logits, np.argmax(logits * WEIGHTS + OFFSETS + noise, axis=1)


def nll(probabilities, labels):
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


def test_it_fits_the_protocol(rng):
    scaler = VectorScaler()
    assert isinstance(scaler, LogitScaler)
    assert scaler.fit(*drawn(rng, n=20)) is scaler


def test_known_weights_and_offsets_are_recovered(rng):
    scaler = VectorScaler().fit(*drawn(rng))
    np.testing.assert_allclose(scaler.weights_, WEIGHTS, rtol=0.06)
    np.testing.assert_allclose(scaler.offsets_, OFFSETS, atol=0.06)


def test_with_two_classes_it_is_logistic_regression(rng):
    """P(class 0) = σ(w₀ z₀ − w₁ z₁ + c₀ − c₁): the two-column logistic regression."""
    logits = rng.normal(0.0, 2.0, (4_000, 2))
    labels = (rng.random(4_000) > special.expit(logits @ [1.4, -0.6] + 0.5)).astype(int)
    theirs = LogisticRegression(C=1e6, tol=1e-10).fit(logits, labels == 0)
    ours = VectorScaler().fit(logits, labels)
    np.testing.assert_allclose(
        ours.probabilities(logits)[:, 0], theirs.predict_proba(logits)[:, 1], atol=2e-3
    )
    np.testing.assert_allclose(ours.weights_ * [1, -1], theirs.coef_[0], rtol=0.01)


def test_at_the_optimum_expected_and_observed_agree(rng):
    """The derivative of the likelihood is 0, up to the ridge of one row."""
    logits, labels = drawn(rng, n=3_000)
    probabilities = VectorScaler().fit(logits, labels).probabilities(logits)
    wanted = np.eye(3)[labels]
    np.testing.assert_allclose(probabilities.mean(axis=0), wanted.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(
        (probabilities * logits).mean(axis=0), (wanted * logits).mean(axis=0), atol=1e-3
    )


def test_it_beats_one_temperature_where_classes_differ(rng):
    logits, labels = drawn(rng, n=5_000)
    fresh, truth = drawn(rng, n=5_000)
    vector = VectorScaler().fit(logits, labels).probabilities(fresh)
    temperature = TemperatureScaler().fit(logits, labels).probabilities(fresh)
    assert nll(vector, truth) < nll(temperature, truth) - 0.05


def test_few_rows_stay_near_the_temperature(rng):
    logits = rng.normal(0.0, 2.0, (6, 10))
    labels = np.argmax(logits / 1.5 + rng.gumbel(size=logits.shape), axis=1)
    ours = VectorScaler().fit(logits, labels)
    temperature = TemperatureScaler().fit(logits, labels).temperature_
    assert np.abs(ours.weights_ * temperature - 1.0).max() < 1.0
    assert np.abs(ours.offsets_).max() < 1.5


def test_a_class_that_never_occurs_stays_possible(rng):
    logits = rng.normal(size=(500, 3))
    scaler = VectorScaler().fit(logits, rng.integers(0, 2, 500))
    assert 0.0 < scaler.probabilities(logits)[:, 2].mean() < 0.05
    assert np.isfinite(scaler.offsets_).all()


def test_no_class_becomes_less_likely_as_its_logit_grows(rng):
    logits = rng.normal(size=(2_000, 3))
    scaler = VectorScaler().fit(logits, np.argmin(logits, axis=1))
    assert scaler.weights_.min() == 0.0


def test_probabilities_by_hand():
    scaler = VectorScaler.from_state({"weights": np.array([1.0, 2.0]), "offsets": np.zeros(2)})
    found = scaler.probabilities(np.array([[np.log(4.0), np.log(3.0)], [-1e5, 1e5]]))
    np.testing.assert_allclose(found, [[4 / 13, 9 / 13], [0.0, 1.0]], atol=1e-12)
    assert scaler.probabilities(np.zeros((0, 2))).shape == (0, 2)


def test_the_size_of_logits_does_not_matter(rng):
    logits, labels = drawn(rng, n=500)
    small, large = VectorScaler().fit(logits, labels), VectorScaler().fit(10.0 * logits, labels)
    np.testing.assert_allclose(
        small.probabilities(logits), large.probabilities(10.0 * logits), atol=1e-5
    )


def test_state_round_trip_is_exact(rng):
    logits, labels = drawn(rng, n=100)
    scaler = VectorScaler().fit(logits, labels)
    again = VectorScaler.from_state(scaler.state())
    np.testing.assert_array_equal(again.probabilities(logits), scaler.probabilities(logits))


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"weights": np.ones(3), "offsets": np.zeros(2)},
        {"weights": np.ones(1), "offsets": np.zeros(1)},
        {"weights": np.array([1.0, -1.0]), "offsets": np.zeros(2)},
    ],
)
def test_a_state_that_is_not_its_own_is_refused(state):
    with pytest.raises(InputError, match="expected a state with"):
        VectorScaler.from_state(state)


def test_before_fit_it_says_so():
    with pytest.raises(NotFittedError, match="call fit first"):
        VectorScaler().probabilities(np.zeros((1, 2)))
    with pytest.raises(NotFittedError, match="call fit first"):
        VectorScaler().state()


def test_other_classes_than_those_of_fit_are_refused(rng):
    scaler = VectorScaler().fit(*drawn(rng, n=20))
    with pytest.raises(InputError, match="expected logits of the 3 classes of fit, got 4"):
        scaler.probabilities(np.zeros((1, 4)))
    with pytest.raises(InputError, match="lie in 0…2, got 0 to 3"):
        VectorScaler().fit(np.zeros((2, 3)), np.array([0, 3]))
    with pytest.raises(InputError, match="at least 1 row"):
        VectorScaler().fit(np.zeros((0, 3)), np.zeros(0, dtype=int))
