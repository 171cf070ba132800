from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.levels.acquisition import SAMPLERS
from gatekeeper.levels.search import SearchOptions, fitted_process, search
from gatekeeper.levels.space import sobol_points

N = 100
REST = np.array([0.0, 0.25])


def count(point: np.ndarray) -> int:
    return round(N * (1 - 0.5 * point[0] - 0.3 * (point[1] - 0.25) ** 2))


def options(**changes: object) -> SearchOptions:
    return SearchOptions(**{"threshold": 0.9, "budget": 16, "n_initial": 6, **changes})


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_the_budget_is_the_number_of_levels_tried(name):
    told = []
    tried = search(
        count, N, 2, options(sampler=name), first=REST,
        on_level=lambda n, point, n_correct: told.append((n, n_correct)),
    )  # fmt: skip
    points, counts = tried.arrays()
    assert points.shape == (16, 2)
    assert points[0].tolist() == REST.tolist()
    assert counts.tolist() == [count(point) for point in points]
    assert told == list(enumerate(counts.tolist(), 1))
    assert ((points >= 0) & (points <= 1)).all()


def test_a_larger_budget_goes_on_where_a_smaller_ended():
    short = search(count, N, 2, options(budget=12), first=REST).arrays()[0]
    long = search(count, N, 2, options(budget=20), first=REST).arrays()[0]
    assert np.array_equal(short, long[:12])


def test_a_pool_gives_each_level_once():
    pool = sobol_points(2, 32, seed=2)
    for name in SAMPLERS:
        points = search(count, N, 2, options(sampler=name, budget=32), pool=pool).arrays()[0]
        assert {tuple(p) for p in points} == {tuple(p) for p in pool}


def test_the_seed_decides():
    one = search(count, N, 2, options(seed=1)).arrays()[0]
    assert np.array_equal(one, search(count, N, 2, options(seed=1)).arrays()[0])
    assert not np.array_equal(one, search(count, N, 2, options(seed=2)).arrays()[0])


def test_some_levels_have_coordinates_at_rest():
    points = search(count, N, 2, options(budget=40), first=REST).arrays()[0]
    assert (points[12:] == REST).any()


def test_a_fitted_process_knows_the_surface():
    points, counts = search(count, N, 2, options(budget=30, sampler="sobol")).arrays()
    process = fitted_process(points, counts, N)
    new = sobol_points(2, 64, seed=5)
    expected = [count(point) / N for point in new]
    assert process.accuracy(new) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 1}, "at least 2"),
        ({"n_initial": 1}, "at least 2"),
        ({"refit_every": 0}, "every 1"),
        ({"threshold": 1.2}, r"\(0, 1\]"),
        ({"sampler": "best"}, "samplers"),
    ],
)
def test_what_cannot_be_searched_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        options(**changes)


def test_a_pool_smaller_than_the_budget_is_refused():
    with pytest.raises(InputError, match="at least the budget"):
        search(count, N, 2, options(), pool=np.zeros((3, 2)))
