"""Perceptrons: a problem with a known optimum, the base, and equality with torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special
from torch.nn import functional as F

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.mlp import Mlp, MlpOptions, log_softmax

SMALL = MlpOptions(hidden=16, members=2, epochs=3)


def linear_problem(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, labels drawn from a softmax that is linear in them, and its probabilities."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, 4)).astype(np.float32)
    weights = np.array([[2.0, -1, 0], [0, 2, -1], [-1, 0, 2], [0, 0, 0]])
    probabilities = special.softmax(inputs @ weights, axis=1)
    labels = (rng.random(n)[:, None] > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return inputs, labels, probabilities


def test_it_comes_near_the_best_that_is_possible() -> None:
    options = MlpOptions(hidden=32, members=1, epochs=10)
    inputs, labels, _ = linear_problem(4000, 1)
    mlp = Mlp(options).fit(inputs, labels, n_classes=3, seed=0)
    inputs, labels, best = linear_problem(4000, 2)
    found = mlp.log_probabilities(inputs)
    rows = np.arange(4000)
    accuracy = (found.argmax(axis=1) == labels).mean()
    assert accuracy > (best.argmax(axis=1) == labels).mean() - 0.01
    loss, best_loss = -found[rows, labels].mean(), -np.log(best[rows, labels]).mean()
    assert loss < best_loss + 0.02


def test_what_has_learned_nothing_returns_the_base() -> None:
    inputs, labels, probabilities = linear_problem(300, 3)
    base = np.log(probabilities)
    still = MlpOptions(hidden=16, members=2, epochs=1, learning_rate=1e-12)
    mlp = Mlp(still).fit(inputs, labels, n_classes=3, seed=0, base=base)
    np.testing.assert_allclose(mlp.log_probabilities(inputs, base=base), base, atol=1e-6)


def test_it_improves_on_a_base_that_is_too_sure() -> None:
    inputs, labels, probabilities = linear_problem(4000, 4)
    sure = 4 * np.log(probabilities)
    mlp = Mlp(MlpOptions(hidden=16, members=1, epochs=10, learning_rate=0.02)).fit(
        inputs, labels, n_classes=3, seed=0, base=sure
    )
    inputs, labels, probabilities = linear_problem(4000, 5)
    rows, sure = np.arange(4000), 4 * np.log(probabilities)
    before = -log_softmax(sure)[rows, labels].mean()
    after = -mlp.log_probabilities(inputs, base=sure)[rows, labels].mean()
    best = -np.log(probabilities[rows, labels]).mean()
    assert after < best + 0.1 * (before - best)


def test_rows_are_probabilities() -> None:
    inputs, labels, _ = linear_problem(300, 6)
    mlp = Mlp(SMALL).fit(inputs, labels, n_classes=3, seed=0)
    found = np.exp(mlp.log_probabilities(1e6 * inputs))
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    assert found.dtype == np.float64


def test_numpy_equals_torch() -> None:
    inputs, labels, probabilities = linear_problem(500, 7)
    base = np.log(probabilities)
    mlp = Mlp(SMALL).fit(inputs, labels, n_classes=3, seed=0, base=base)
    state = {name: torch.from_numpy(array) for name, array in mlp.state().items()}
    rows = ((torch.from_numpy(inputs) - state["mean"]) / state["spread"]).clamp(-4, 4)
    total = torch.zeros(500, 3, dtype=torch.float64)
    for member in ("0", "1"):
        hidden = rows
        for layer in ("first", "second"):
            weight, bias = state[f"{member}.{layer}.weight"], state[f"{member}.{layer}.bias"]
            hidden = F.relu(F.linear(hidden, weight, bias))
        last = F.linear(hidden, state[f"{member}.last.weight"], state[f"{member}.last.bias"])
        logits = last + state[f"{member}.scale"] * torch.from_numpy(base)
        total += F.log_softmax(logits, dim=1) / 2
    expected = F.log_softmax(total, dim=1).numpy()
    np.testing.assert_allclose(mlp.log_probabilities(inputs, base=base), expected, atol=1e-6)


def test_state_round_trip_is_exact() -> None:
    inputs, labels, _ = linear_problem(300, 8)
    mlp = Mlp(SMALL).fit(inputs, labels, n_classes=3, seed=0)
    again = Mlp.from_state({name: array.copy() for name, array in mlp.state().items()})
    np.testing.assert_array_equal(again.log_probabilities(inputs), mlp.log_probabilities(inputs))
    assert all(array.dtype == np.float32 for array in mlp.state().values())


def test_same_seed_same_network_whatever_the_global_state() -> None:
    inputs, labels, _ = linear_problem(300, 9)

    def fitted(seed: int) -> np.ndarray:
        return Mlp(SMALL).fit(inputs, labels, n_classes=3, seed=seed).log_probabilities(inputs)

    first = fitted(0)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    np.testing.assert_array_equal(fitted(0), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.abs(fitted(5) - first).max() > 1e-4


def test_a_constant_input_does_no_harm() -> None:
    inputs, labels, _ = linear_problem(300, 10)
    inputs[:, 3] = 7.0
    mlp = Mlp(SMALL).fit(inputs, labels, n_classes=3, seed=0)
    assert np.isfinite(mlp.log_probabilities(inputs)).all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda i, y: {"inputs": i[:-1], "labels": y}, r"as many inputs as labels \(20\)"),
        (lambda i, y: {"inputs": i, "labels": y, "base": np.zeros((19, 3))}, "as many inputs"),
        (lambda i, y: {"inputs": np.where(i > 0, np.nan, i), "labels": y}, "finite inputs"),
        (lambda i, y: {"inputs": np.where(i > 0, np.inf, i), "labels": y}, "finite inputs"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    spoil: Callable[..., dict[str, Any]], message: str
) -> None:
    inputs, labels, _ = linear_problem(20, 11)
    with pytest.raises(InputError, match=message):
        Mlp(SMALL).fit(**spoil(inputs, labels), n_classes=3, seed=0)


def test_before_fit_it_says_so() -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        Mlp().log_probabilities(np.zeros((1, 4)))


def test_log_softmax_is_that_of_scipy() -> None:
    logits = np.random.default_rng(12).normal(size=(50, 6)) * 300
    np.testing.assert_allclose(log_softmax(logits), special.log_softmax(logits, axis=1))
