from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.levels.accuracy_process import AccuracyProcess, is_reliable
from gatekeeper.levels.acquisition import MODEL_BASED, SAMPLERS, SearchState, sampler
from gatekeeper.levels.search import SearchOptions, search
from gatekeeper.levels.space import grid_points, sobol_points

N = 400
POOL = sobol_points(2, 512, seed=1)


def count(point: np.ndarray) -> int:
    """Accuracy falls with the distance from a corner; 0.9 at distance 0.5."""
    return round(N / (1 + np.exp(8 * (np.hypot(*point) - 0.775))))


def rare_count(point: np.ndarray) -> int:
    """Accuracy of 0.9 and more in a corner of 2.5 % of the square only."""
    return round(N * 0.97 * np.exp(-((point**2).sum() / 0.32) * 0.75))


def state(name: str, points: np.ndarray, threshold: float = 0.9, budget: int = 40) -> SearchState:
    counts = np.array([count(point) for point in points])
    process = AccuracyProcess(N).fit(points, counts) if name in MODEL_BASED else None
    return SearchState(
        points=points, n_correct=counts, process=process, threshold=threshold, budget=budget, seed=0
    )


def test_straddle_picks_near_the_contour():
    tried = sobol_points(2, 24, seed=0)
    chosen = POOL[SAMPLERS["straddle"](state("straddle", tried), POOL)]
    assert abs(np.hypot(*chosen) - 0.5) < 0.1


def test_straddle_is_its_formula():
    tried = sobol_points(2, 24, seed=0)
    now = state("straddle", tried)
    known = now.process.verdict(POOL, 0.9)
    values = [1.96 * s - abs(m) for m, s in zip(known.margin, known.std, strict=True)]
    assert SAMPLERS["straddle"](now, POOL) == int(np.argmax(values))


@pytest.mark.parametrize(("threshold", "reliable"), [(0.9, True), (0.05, False)])
def test_minority_seeking_picks_the_rarer_label(threshold, reliable):
    tried = sobol_points(2, 24, seed=0)
    now = state("minority_seeking", tried, threshold)
    labels = is_reliable(now.n_correct, N, threshold)
    assert (labels.mean() < 0.5) == reliable
    known = now.process.verdict(POOL, threshold)
    rarer = known.probability if reliable else 1 - known.probability
    chosen = SAMPLERS["minority_seeking"](now, POOL)
    assert chosen == int(np.argmax(rarer * known.std))
    assert rarer[chosen] > 0.3


def test_sobol_and_grid_take_the_nearest_candidate():
    tried = POOL[:3]
    wanted = sobol_points(2, 4, seed=0)[3]
    chosen = POOL[SAMPLERS["sobol"](state("sobol", tried), POOL)]
    assert np.linalg.norm(chosen - wanted) == np.linalg.norm(POOL - wanted, axis=1).min()
    lattice = grid_points([3, 3])
    picked = []
    for n in range(9):
        now = state("grid", POOL[:n], budget=9)
        picked.append(SAMPLERS["grid"](now, lattice))
    assert sorted(picked) == list(range(9))
    assert picked != list(range(9))


def test_a_grid_uses_the_budget():
    # 7 × 7 = 49 and 8 × 7 = 56 fit into 60, 8 × 8 = 64 does not.
    lattice = grid_points([8, 7])
    picked = {SAMPLERS["grid"](state("grid", POOL[:n], budget=60), lattice) for n in range(56)}
    assert picked == set(range(56))


def test_random_draws_depend_on_the_seed_alone():
    now = state("random", POOL[:5])
    assert SAMPLERS["random"](now, POOL) == SAMPLERS["random"](now, POOL)
    later = {SAMPLERS["random"](state("random", POOL[:n]), POOL) for n in range(20)}
    assert len(later) > 15


@pytest.mark.parametrize("name", sorted(MODEL_BASED))
def test_they_find_a_rare_label_more_often_than_random_draws(name):
    def share(which: str, seed: int) -> float:
        options = SearchOptions(threshold=0.9, budget=40, sampler=which, seed=seed)
        counts = search(rare_count, N, 2, options, pool=POOL).arrays()[1]
        return float(is_reliable(counts, N, 0.9).mean())

    everywhere = is_reliable(np.array([rare_count(p) for p in POOL]), N, 0.9).mean()
    assert 0.02 < everywhere < 0.04
    by_model = np.mean([share(name, seed) for seed in range(2)])
    at_random = np.mean([share("random", seed) for seed in range(8)])
    assert by_model >= 3 * at_random
    assert by_model >= 0.2


def test_unknown_names_and_missing_processes_are_refused():
    with pytest.raises(InputError, match="did you mean straddle"):
        sampler("stradle")
    assert sampler("grid") is SAMPLERS["grid"]
    with pytest.raises(InputError, match="fit one"):
        SAMPLERS["straddle"](state("random", POOL[:4]), POOL)
