from __future__ import annotations

import numpy as np
import pytest

from benchmarks.kept import Store
from benchmarks.levels_grids import Problem
from benchmarks.levels_runs import METHODS, RULE, Runs, all_scores, f1_after, f1_score, learned
from gatekeeper.levels import grid_points, sobol_points

N = 100


def count(points: np.ndarray) -> np.ndarray:
    return np.round(N * (0.98 - 1.2 * ((points - 0.5) ** 2).sum(axis=1))).clip(0).astype(int)


@pytest.fixture(scope="module")
def problem() -> Problem:
    pool, grid = sobol_points(3, 200, seed=0), grid_points([6] * 3)
    return Problem(
        pair="made/up",
        development=False,
        threshold=0.88,
        n_images=N,
        pool=pool,
        pool_counts=count(pool),
        grid=grid,
        grid_counts=count(grid),
    )


class Fixed:
    def __init__(self, labels: np.ndarray, probability: np.ndarray) -> None:
        self._labels, self._probability = labels, probability

    def is_reliable(self, points: np.ndarray) -> np.ndarray:
        return self._labels

    def probability(self, points: np.ndarray) -> np.ndarray:
        return self._probability


def test_f1_by_hand():
    truth = np.array([True, True, True, False, False])
    assert f1_score(np.array([True, False, False, True, False]), truth) == pytest.approx(2 / 5)
    assert f1_score(np.zeros(5, bool), truth) == 0.0
    assert f1_score(np.zeros(5, bool), np.zeros(5, bool)) is None


def test_scores_by_hand(problem):
    from benchmarks.levels_runs import scores

    truth = problem.grid_reliable
    n_yes, n = int(truth.sum()), len(truth)
    assert 0.02 < n_yes / n < 0.2
    right = scores(problem, Fixed(truth, truth.astype(float)))
    assert (right.f1, right.balanced_accuracy, right.brier) == (1.0, 1.0, 0.0)
    everything = scores(problem, Fixed(np.ones(n, bool), np.full(n, 0.25)))
    assert everything.f1 == pytest.approx(2 * n_yes / (n_yes + n))
    assert everything.balanced_accuracy == 0.5
    assert everything.brier == pytest.approx((n_yes * 0.75**2 + (n - n_yes) * 0.25**2) / n)


def test_runs_are_kept_and_never_see_the_grid(problem, tmp_path):
    runs = Runs(Store(tmp_path), 24)
    rows = runs.tried(problem, "straddle", 0)
    assert len(set(rows.tolist())) == 24
    assert rows.max() < len(problem.pool)
    files = sorted(tmp_path.iterdir())
    assert Runs(Store(tmp_path), 24).tried(problem, "straddle", 0).tolist() == rows.tolist()
    assert sorted(tmp_path.iterdir()) == files
    assert runs.tried(problem, "random", 0).tolist() != runs.tried(problem, "random", 1).tolist()


def test_every_method_is_scored_or_refuses(problem):
    rows = np.arange(40)
    found = dict(all_scores(problem, rows, 0))
    assert tuple(found) == METHODS
    assert found[RULE].f1 > 0.6
    unreliable = np.flatnonzero(~problem.pool_reliable)[:20]
    refused = dict(all_scores(problem, unreliable, 0))
    assert refused["smote"] is None
    assert refused["none"].f1 == 0.0
    assert learned(problem, unreliable, "random_over", 0, None) is None


def test_f1_grows_with_the_budget(problem, tmp_path):
    rows = Runs(Store(tmp_path), 48).tried(problem, "straddle", 1)
    curve = f1_after(problem, rows, RULE, 1, [12, 48])
    assert curve[1] > max(curve[0], 0.8)
    none = f1_after(problem, np.flatnonzero(~problem.pool_reliable), "smote", 1, [12])
    assert none.tolist() == [0.0]
