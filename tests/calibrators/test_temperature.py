"""Temperature scaling against a grid search, a known temperature and its optimum condition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from gatekeeper.calibrators import TemperatureScaler
from gatekeeper.errors import InputError, NotFittedError


def drawn(rng, *, temperature, n=20_000, n_classes=4):
    """Logits and labels drawn from softmax(logits ÷ temperature)."""
    logits = rng.normal(0.0, 3.0, (n, n_classes))
    noise = rng.gumbel(size=logits.shape)
    return logits, np.argmax(logits / temperature + noise, axis=1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_recovered(rng, temperature):
    logits, labels = drawn(rng, temperature=temperature)
    found = TemperatureScaler().fit(logits, labels)
    assert found.temperature_ == pytest.approx(temperature, rel=0.04)


def test_no_temperature_of_a_grid_is_likelier(rng):
    logits, labels = drawn(rng, temperature=1.7, n=400)
    grid = np.geomspace(1.0, 3.0, 401)
    losses = [-special.log_softmax(logits / t, axis=1)[np.arange(400), labels].mean() for t in grid]
    found = TemperatureScaler().fit(logits, labels).temperature_
    assert found == pytest.approx(grid[np.argmin(losses)], rel=3e-3)  # the step of the grid


def test_expected_logits_are_those_of_the_truth(rng):
    """Setting the derivative of the likelihood to 0 says just this."""
    logits, labels = drawn(rng, temperature=0.8, n=300)
    probabilities = TemperatureScaler().fit(logits, labels).probabilities(logits)
    expected = (probabilities * logits).sum(axis=1).mean()
    assert expected == pytest.approx(logits[np.arange(300), labels].mean(), abs=1e-5)


def test_probabilities_by_hand():
    scaler = TemperatureScaler.from_state({"temperature": np.array([2.0])})
    found = scaler.probabilities(np.array([[0.0, 2.0 * np.log(3.0)], [1e5, -1e5]]))
    np.testing.assert_allclose(found, [[0.25, 0.75], [1.0, 0.0]], atol=1e-12)
    assert scaler.probabilities(np.zeros((0, 3))).shape == (0, 3)


def test_probabilities_sum_to_one_and_keep_the_answer(rng):
    logits, labels = drawn(rng, temperature=3.0, n=500)
    found = TemperatureScaler().fit(logits, labels).probabilities(logits.astype(np.float32))
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(found.argmax(axis=1), logits.argmax(axis=1))


def test_all_right_and_all_wrong_go_to_the_ends_of_the_range(rng):
    logits = rng.normal(0.0, 3.0, (50, 3))
    assert TemperatureScaler().fit(logits, logits.argmax(axis=1)).temperature_ == pytest.approx(
        0.05, rel=1e-6
    )
    assert TemperatureScaler().fit(logits, logits.argmin(axis=1)).temperature_ == pytest.approx(
        20.0, rel=1e-6
    )


def test_logits_that_all_tie_stay_uniform():
    scaler = TemperatureScaler().fit(np.ones((5, 4)), np.array([0, 1, 2, 3, 0]))
    assert 0.05 <= scaler.temperature_ <= 20.0
    np.testing.assert_allclose(scaler.probabilities(np.ones((1, 4))), 0.25)


def test_state_round_trip_is_exact(rng):
    logits, labels = drawn(rng, temperature=1.3, n=100)
    scaler = TemperatureScaler().fit(logits, labels)
    again = TemperatureScaler.from_state(scaler.state())
    np.testing.assert_array_equal(again.probabilities(logits), scaler.probabilities(logits))


@pytest.mark.parametrize(
    "state",
    [{}, {"temperature": np.zeros(1)}, {"temperature": np.ones(2)}, {"t": np.ones(1)}],
)
def test_a_state_that_is_not_its_own_is_refused(state):
    with pytest.raises(InputError, match="expected a state with"):
        TemperatureScaler.from_state(state)


def test_before_fit_it_says_so():
    with pytest.raises(NotFittedError, match="call fit first"):
        TemperatureScaler().probabilities(np.zeros((1, 2)))
    with pytest.raises(NotFittedError, match="call fit first"):
        TemperatureScaler().state()


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, dtype=int), "at least 1 row"),
        (np.zeros(3), np.zeros(3, dtype=int), r"logits must have shape \(N, K\)"),
        (np.zeros((2, 1)), np.zeros(2, dtype=int), "at least 2 classes"),
        (np.full((2, 2), np.nan), np.zeros(2, dtype=int), "logits must be finite, got 4"),
        (np.zeros((2, 2)), np.zeros(3, dtype=int), r"integers of shape \(2,\)"),
        (np.zeros((2, 2)), np.zeros(2), "got float64"),
        (np.zeros((2, 2)), np.array([0, 2]), "lie in 0…1, got 0 to 2"),
        (np.zeros((2, 2)), np.array([-1, 1]), "lie in 0…1, got -1 to 1"),
    ],
)
def test_fit_refuses(logits, labels, message):
    with pytest.raises(InputError, match=message):
        TemperatureScaler().fit(logits, labels)
