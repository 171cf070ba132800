"""Familiarity by value: distances by brute force, and what it must and must not react to."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.reliability.familiarity import Familiarity


def _cloud(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 4)) * np.array([1.0, 10.0, 0.1, 3.0])


def test_distance_is_that_to_the_third_nearest_reference() -> None:
    fitted = Familiarity().fit(_cloud(400, 0))
    query = _cloud(50, 1)
    scaled = query / fitted.spread_
    brute = np.sort(np.linalg.norm(scaled[:, None] - fitted.references_[None], axis=2), axis=1)
    expected = np.maximum(brute[:, 2] / fitted.ordinary_ - 1.0, 0.0)
    assert fitted.excess(query) == pytest.approx(expected, abs=1e-3)


def test_about_one_in_a_hundred_ordinary_looks_has_an_excess() -> None:
    fitted = Familiarity().fit(_cloud(9000, 0))
    share = (fitted.excess(_cloud(5000, 2)) > 0).mean()
    assert 0.004 < share < 0.02


def test_excess_grows_with_the_distance_and_has_no_upper_end() -> None:
    fitted = Familiarity().fit(_cloud(2000, 0))
    out = np.zeros((5, 4))
    out[:, 0] = [0.0, 8.0, 16.0, 32.0, 64.0]
    excess = fitted.excess(out)
    assert excess[0] == 0.0
    assert np.all(np.diff(excess) > 0)
    assert excess[4] / excess[3] == pytest.approx(2.0, rel=0.15)


def test_a_signal_that_never_varied_makes_a_small_change_unfamiliar() -> None:
    constant = _cloud(500, 0)
    constant[:, 3] = 0.0
    changed = constant[:10].copy()
    changed[:, 3] = 0.1
    fitted = Familiarity().fit(constant)
    assert fitted.excess(changed).min() > 10.0


def test_a_row_does_not_depend_on_its_batch() -> None:
    fitted = Familiarity().fit(_cloud(600, 0))
    queries = _cloud(1500, 3) * 2.0
    together = fitted.excess(queries)
    alone = np.concatenate([fitted.excess(queries[i : i + 1]) for i in range(0, 1500, 100)])
    assert together[::100] == pytest.approx(alone, abs=1e-4)


def test_state_survives_exactly() -> None:
    fitted = Familiarity(seed=3).fit(_cloud(300, 0))
    again = Familiarity.from_state(fitted.state())
    assert np.array_equal(again.excess(_cloud(40, 1)), fitted.excess(_cloud(40, 1)))


def test_it_refuses_too_little_and_use_before_fit() -> None:
    with pytest.raises(InputError, match="at least 8"):
        Familiarity().fit(_cloud(7, 0))
    with pytest.raises(NotFittedError):
        Familiarity().excess(_cloud(1, 0))
    with pytest.raises(NotFittedError):
        Familiarity().state()
