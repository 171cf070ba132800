from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.levels import gaussian_process
from gatekeeper.levels.gaussian_process import GaussianProcess, Hyperparameters

CHOSEN = Hyperparameters(signal_std=0.7, lengths=(0.3, 0.8), noise_share=1.0)


def some_points(n: int = 25) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).random((n, 2))
    return x, np.sin(4 * x[:, 0]) + 0.5 * x[:, 1]


def kernel(a: np.ndarray, b: np.ndarray) -> float:
    r = np.sqrt((((a - b) / np.array(CHOSEN.lengths)) ** 2).sum())
    return 0.49 * (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)


def test_two_points_in_closed_form():
    x, y, v = np.array([[0.2, 0.1], [0.6, 0.9]]), np.array([1.0, 3.0]), np.array([0.1, 0.2])
    new = np.array([0.4, 0.4])
    a, b, c = 0.49 + 0.1, kernel(x[0], x[1]), 0.49 + 0.2
    determinant = a * c - b * b
    inverse = np.array([[c, -b], [-b, a]]) / determinant
    ones = np.ones(2)
    mean = (ones @ inverse @ y) / (ones @ inverse @ ones)
    cross = np.array([kernel(x[0], new), kernel(x[1], new)])
    found = GaussianProcess().fit(x, y, v, hyperparameters=CHOSEN).posterior(new[None])
    assert found.mean[0] == pytest.approx(mean + cross @ inverse @ (y - mean), rel=1e-6)
    assert found.std[0] == pytest.approx(np.sqrt(0.49 - cross @ inverse @ cross), rel=1e-6)


def test_it_agrees_with_scikit_learn():
    x, y = some_points()
    v = np.linspace(0.01, 0.2, len(y))
    process = GaussianProcess().fit(x, y, v, hyperparameters=CHOSEN)
    theirs = GaussianProcessRegressor(
        ConstantKernel(0.49) * Matern([0.3, 0.8], nu=2.5), alpha=v + 0.49e-9, optimizer=None
    )
    ones = np.linalg.solve(theirs.kernel(x) + np.diag(v), np.ones(len(y)))
    mean = ones @ y / ones.sum()
    new = np.random.default_rng(1).random((40, 2))
    expected, std = theirs.fit(x, y - mean).predict(new, return_std=True)
    found = process.posterior(new)
    assert found.mean == pytest.approx(expected + mean, abs=1e-6)
    assert found.std == pytest.approx(std, abs=1e-6)
    assert process.log_likelihood() == pytest.approx(theirs.log_marginal_likelihood(), abs=1e-5)


def test_it_interpolates_without_noise_and_is_sure_where_it_looked():
    x, y = some_points()
    process = GaussianProcess().fit(x, y, np.zeros(len(y)), hyperparameters=CHOSEN)
    seen = process.posterior(x)
    assert seen.mean == pytest.approx(y, abs=1e-5)
    assert seen.std.max() < 1e-3
    away = process.posterior(x + 0.07).std
    assert away.min() > 10 * seen.std.max()
    assert process.posterior(np.array([[9.0, 9.0]])).std[0] == pytest.approx(0.7, rel=1e-3)


def test_one_more_point_lowers_the_spread_there():
    x, y = some_points()
    new = np.array([[0.5, 0.5]])
    noise = np.full(len(y), 0.01)
    before = GaussianProcess().fit(x, y, noise, hyperparameters=CHOSEN).posterior(new).std[0]
    after = GaussianProcess().fit(
        np.concatenate([x, new]), np.append(y, 1.0), np.append(noise, 0.01), hyperparameters=CHOSEN
    )
    assert after.posterior(new).std[0] < 0.9 * before


def test_the_gradient_is_that_of_the_objective():
    x, y = some_points()
    v = np.full(len(y), 0.05)
    at = np.log([0.6, 0.4, 0.9, 0.5])
    _, gradient = gaussian_process._objective(at, x, y, v)
    for axis in range(4):
        step = np.zeros(4)
        step[axis] = 1e-5
        above, below = (gaussian_process._objective(at + s * step, x, y, v)[0] for s in (1, -1))
        assert gradient[axis] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-6)


def test_fitted_lengths_tell_the_axis_that_matters():
    x = np.random.default_rng(3).random((60, 2))
    y = np.sin(6 * x[:, 0])
    process = GaussianProcess().fit(x, y, np.full(60, 1e-4))
    chosen = process.hyperparameters
    assert chosen.lengths[1] > 3 * chosen.lengths[0]
    new = np.random.default_rng(4).random((50, 2))
    assert process.posterior(new).mean == pytest.approx(np.sin(6 * new[:, 0]), abs=0.05)
    start = GaussianProcess().fit(x, y, np.full(60, 1e-4), start=chosen).hyperparameters
    assert start.lengths == pytest.approx(chosen.lengths, rel=0.2)


def test_the_noise_share_is_fitted():
    generator = np.random.default_rng(5)
    x = generator.random((150, 1))
    rough = GaussianProcess().fit(
        x, np.sin(3 * x[:, 0]) + 0.2 * generator.standard_normal(150), np.full(150, 0.04)
    )
    smooth = GaussianProcess().fit(x, np.sin(3 * x[:, 0]), np.full(150, 0.04))
    assert rough.hyperparameters.noise_share > 0.6
    assert smooth.hyperparameters.noise_share < 0.01


def test_wrong_use_is_refused():
    with pytest.raises(NotFittedError, match="fit before posterior"):
        GaussianProcess().posterior(np.zeros((1, 1)))
    with pytest.raises(NotFittedError, match="fit before log_likelihood"):
        GaussianProcess().log_likelihood()
    one = np.zeros((1, 1))
    with pytest.raises(InputError, match="n at least 2"):
        GaussianProcess().fit(one, one[0], one[0])
    two = np.zeros((2, 1))
    with pytest.raises(InputError, match="one value and one variance"):
        GaussianProcess().fit(two, np.zeros(2), np.zeros(3))
    with pytest.raises(InputError, match="finite"):
        GaussianProcess().fit(two, np.array([0, np.nan]), np.zeros(2))
    with pytest.raises(InputError, match="at least 0"):
        GaussianProcess().fit(two, np.zeros(2), np.array([0.0, -1.0]))
