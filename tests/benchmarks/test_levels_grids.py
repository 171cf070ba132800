from __future__ import annotations

import numpy as np

from benchmarks.levels_grids import Problem, pool_and_grid, thresholds
from gatekeeper.levels import grid_points, sobol_points


def test_pool_and_grid_share_no_level():
    for quick in (True, False):
        pool, grid = pool_and_grid(quick=quick)
        assert not {tuple(p) for p in pool} & {tuple(p) for p in grid}
        assert pool.shape[1] == grid.shape[1] == 3


def test_thresholds_by_hand():
    # 0, 1, … 999 right of 1000: share reliable at h is 1 − h.
    counts = np.arange(1000)
    assert thresholds(counts, 1000, 20) == [0.85, 0.95]
    assert thresholds(counts, 1000, 100) == [0.85, 0.9]
    # Fewer than `least` everywhere, or never rare: no threshold.
    assert thresholds(counts, 1000, 500) == []
    assert thresholds(np.full(1000, 1000), 1000, 20) == []


def test_labels_and_shares():
    problem = Problem(
        pair="a/b",
        development=True,
        threshold=0.9,
        n_images=10,
        pool=sobol_points(3, 4, seed=0),
        pool_counts=np.array([9, 8, 10, 0]),
        grid=grid_points([2, 2, 2]),
        grid_counts=np.array([9, 0, 0, 0, 0, 0, 0, 8]),
    )
    assert problem.pool_reliable.tolist() == [True, False, True, False]
    assert problem.grid_reliable.tolist() == [True] + [False] * 7
    assert problem.minority
    assert problem.minority_share == 1 / 8
