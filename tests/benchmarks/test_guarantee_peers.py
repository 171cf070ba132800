"""The peers' thresholds: SGR by hand, MAPIE against its own rule, and neither beyond our walk."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np
import pytest
from scipy import stats

from benchmarks import guarantee_peers
from benchmarks.guarantee_peers import mapie, sgr
from gatekeeper.errors import GatekeeperError, InputError
from gatekeeper.risk_control import fixed_sequence_test, starting_point

needs_mapie = pytest.mark.skipif(
    importlib.util.find_spec("mapie") is None, reason="the peer mapie is not installed"
)

TARGET, LEVEL = 0.05, 0.95


def test_sgr_by_hand() -> None:
    # 8 rows: 3 looks, each at 1 - 0.3 / 3 = 0.9. Scores 1…8, only the lowest two wrong.
    # Look 1 at place 5 (scores 5…8): 0 wrong of 4, bound 1 - 0.1^(1/4) = 0.438 <= 0.5, passes.
    # Look 2 at place 3 (scores 3…8): 0 wrong of 6, bound 1 - 0.1^(1/6) = 0.319, passes.
    # Look 3 at place 2 (scores 2…8): 1 wrong of 7, bound 0.453 (Bin(7, p) <= 1 has 0.1), passes.
    score = np.arange(1.0, 9.0)
    correct = score > 2
    assert sgr(score, correct, 0.5, 0.7) == 2.0
    assert stats.binom.cdf(1, 7, 0.4526) == pytest.approx(0.1, abs=5e-4)
    # At a target of 0.45 the third look fails, the second stands.
    assert sgr(score, correct, 0.45, 0.7) == 3.0
    # At 0.4 the first look fails too; then places 7 and 8 with fewer rows fail as well.
    assert sgr(score, correct, 0.4, 0.7) is None


def test_sgr_spends_its_level_on_the_looks() -> None:
    # All right: the most lenient place it can look at, unless the shared level is too strict.
    score = np.arange(64.0)
    right = np.ones(64, dtype=bool)
    assert sgr(score, right, 0.2, 0.95) == 1.0  # 6 looks end at place 2
    assert (1 - 0.2) ** 32 <= 0.05 / 6
    assert sgr(score, right, 0.05, 0.95) is None
    assert 0.95**64 < 0.05 < 6 * 0.95**64  # one plain test of all rows would have passed


def test_sgr_takes_ties_together() -> None:
    score = np.repeat([0.5, 0.9], 50)
    correct = np.concatenate([np.zeros(50, dtype=bool), np.ones(50, dtype=bool)])
    assert sgr(score, correct, 0.2, 0.9) == 0.9


def test_sgr_certifies_nothing_where_all_are_wrong() -> None:
    assert sgr(np.arange(100.0), np.zeros(100, dtype=bool), TARGET, LEVEL) is None


@pytest.mark.parametrize(
    ("score", "correct", "target", "level"),
    [
        ([1.0], [True], 0.05, 0.95),
        ([1.0, 2.0], [True], 0.05, 0.95),
        ([1.0, 2.0], [True, True], 0.0, 0.95),
        ([1.0, 2.0], [True, True], 0.05, 1.0),
    ],
)
def test_sgr_refuses_what_it_cannot_search(
    score: list[float], correct: list[bool], target: float, level: float
) -> None:
    with pytest.raises(InputError):
        sgr(score, correct, target, level)


def images(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated reliabilities and outcomes."""
    rng = np.random.default_rng(seed)
    score = rng.beta(3.0, 0.4, n)
    return score, rng.random(n) < score


@needs_mapie
def test_mapie_takes_the_lowest_threshold_that_holm_leaves() -> None:
    score, correct = images(4000, 1)
    grid = np.array([0.5, 0.7, 0.8, 0.9, 0.95])
    tails = [
        stats.binom.cdf((~correct[score >= t]).sum(), (score >= t).sum(), TARGET) for t in grid
    ]
    order = np.argsort(tails)
    passes = np.logical_and.accumulate(np.sort(tails) <= 0.05 / np.arange(5, 0, -1))
    expected = grid[order[passes]].min()
    assert mapie(score, correct, TARGET, LEVEL, thresholds=grid) == expected
    assert 0 < passes.sum() < 5


@needs_mapie
def test_mapie_certifies_nothing_where_it_cannot() -> None:
    score, correct = images(30, 2)
    assert mapie(score, correct, TARGET, LEVEL) is None
    assert mapie(score, np.zeros(30, dtype=bool), TARGET, LEVEL, method="fixed_sequence") is None


@needs_mapie
def test_mapie_can_learn_its_order_elsewhere() -> None:
    score, correct = images(4000, 3)
    found = mapie(
        score, correct, TARGET, LEVEL, method="split_fixed_sequence", learn=images(2000, 4)
    )
    assert found is not None
    assert np.mean(~correct[score >= found]) < TARGET


@needs_mapie
def test_mapie_survives_thresholds_that_accept_nothing() -> None:
    score, correct = images(4000, 5)
    assert mapie(0.9 * score, correct, TARGET, LEVEL) is not None


def test_mapie_is_asked_for_what_it_can_do() -> None:
    score, correct = images(50, 6)
    with pytest.raises(InputError, match="split_fixed_sequence"):
        mapie(score, correct, TARGET, LEVEL, method="split_fixed_sequence")
    with pytest.raises(InputError, match="split_fixed_sequence"):
        mapie(score, correct, TARGET, LEVEL, learn=(score, correct))
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        mapie(2 * score, correct, TARGET, LEVEL)


def test_without_mapie_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(guarantee_peers.importlib, "import_module", missing)
    with pytest.raises(GatekeeperError, match="pip install mapie"):
        mapie(*images(50, 7), TARGET, LEVEL)


# --- the same draws, side by side -----------------------------------------------------------------


def walk(
    calibrate: tuple[np.ndarray, np.ndarray], certify: tuple[np.ndarray, np.ndarray]
) -> float | None:
    """Our threshold: a path frozen on *calibrate*, walked on *certify*."""
    path = np.unique(calibrate[0])[::-1]

    def counts(rows: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(rows[0])
        wrong = np.concatenate([[0], np.cumsum(~rows[1][order])])
        first = np.searchsorted(rows[0][order], path)
        return wrong[-1] - wrong[first], len(order) - first

    start = starting_point(*counts(calibrate), TARGET)
    wrong, accepted = counts(certify)
    found = fixed_sequence_test(
        wrong[start:], accepted[start:], target_risk=TARGET, confidence_level=LEVEL
    )
    return None if found.index is None else float(path[start + found.index])


@pytest.mark.parametrize("n_certify", [500, 2500])
def test_our_walk_covers_at_least_as_much_as_the_peers(n_certify: int) -> None:
    pool = images(20_000, 8)
    calibrate = images(2500, 9)
    rng = np.random.default_rng(10)
    covered: dict[str, list[float]] = {"walk": [], "sgr": [], "mapie": []}
    for _ in range(60):
        drawn = rng.integers(20_000, size=n_certify)
        certify = pool[0][drawn], pool[1][drawn]
        found = {"walk": walk(calibrate, certify), "sgr": sgr(*certify, TARGET, LEVEL)}
        if importlib.util.find_spec("mapie") is not None:
            found["mapie"] = mapie(*certify, TARGET, LEVEL)
        for method, threshold in found.items():
            share = 0.0 if threshold is None else float(np.mean(pool[0] >= threshold))
            covered[method].append(share)
    for peer in ("sgr", "mapie"):
        if covered[peer]:
            assert np.mean(covered["walk"]) - np.mean(covered[peer]) >= -0.002
    assert np.mean(covered["walk"]) > 0.5
