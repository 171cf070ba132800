"""The walk: where it starts, that it stops at the first failure, and the guarantee itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from gatekeeper.errors import InputError
from gatekeeper.risk_control import (
    ThresholdPath,
    binomial_tail,
    fixed_sequence_test,
    min_accepted_to_certify,
    risk_upper_bound,
    starting_point,
)


def test_starting_point_is_the_smallest_tail_and_the_first_of_equals():
    assert starting_point([0, 0, 9, 40], [10, 100, 300, 500], 0.05) == 1
    assert starting_point([0, 1, 0, 1], [50, 80, 50, 80], 0.05) == 0
    assert starting_point([0, 0], [0, 0], 0.05) == 0


def test_walk_stops_at_the_first_failure_and_never_looks_beyond():
    # Steps 0 and 1 pass, step 2 fails, step 3 would pass again with far more coverage.
    result = fixed_sequence_test(
        [0, 1, 9, 10], [100, 150, 160, 900], target_risk=0.05, confidence_level=0.95
    )
    assert binomial_tail(10, 900, 0.05) < 0.05
    assert (result.certified, result.index) == (True, 1)
    assert (result.n_wrong, result.n_accepted) == (1, 150)
    assert result.tail == pytest.approx(stats.binom.cdf(1, 150, 0.05))
    assert result.upper_bound == risk_upper_bound(1, 150, 0.95) <= 0.05
    assert result.reason is None


def test_a_failure_at_the_start_certifies_nothing_whatever_follows():
    result = fixed_sequence_test([9, 0], [100, 5000], target_risk=0.05, confidence_level=0.95)
    assert (result.certified, result.index) == (False, None)
    assert (result.n_wrong, result.n_accepted) == (9, 100)
    assert result.tail == pytest.approx(stats.binom.cdf(9, 100, 0.05))


def test_a_path_without_failure_is_certified_to_its_end():
    result = fixed_sequence_test([0, 1], [200, 400], target_risk=0.05, confidence_level=0.95)
    assert result.index == 1


@pytest.mark.parametrize(
    ("k", "n", "words"),
    [
        (0, 58, ["too few accepted images", "58", "at least 59"]),
        (0, 0, ["too few accepted images", "0", "at least 59"]),
        (4, 100, ["too little evidence", "4 wrong of 100", "more images"]),
        (9, 100, ["risk is too high", "9 wrong of 100", "0.0900"]),
    ],
)
def test_cannot_certify_says_why(k, n, words):
    result = fixed_sequence_test([k], [n], target_risk=0.05, confidence_level=0.95)
    assert not result.certified
    assert result.reason.startswith("Cannot certify: ")
    for word in words:
        assert word in result.reason


@pytest.mark.parametrize(
    ("wrong", "accepted", "message"),
    [
        ([2], [1], "2 wrong of 1 accepted at step 0"),
        ([0, 0], [1], "one value per step"),
        ([], [], "M at least 1"),
        ([-1], [5], "at least 0"),
        ([0.5], [5], "integers"),
        ([[0]], [[5]], "shape"),
    ],
)
def test_impossible_counts_are_refused(wrong, accepted, message):
    with pytest.raises(InputError, match=message):
        fixed_sequence_test(wrong, accepted, target_risk=0.05, confidence_level=0.95)
    with pytest.raises(InputError, match=message):
        starting_point(wrong, accepted, 0.05)


@pytest.mark.parametrize(("target", "level"), [(0.0, 0.95), (1.0, 0.95), (0.05, 1.0), (0.05, 95)])
def test_promises_that_mean_nothing_are_refused(target, level):
    with pytest.raises(InputError):
        fixed_sequence_test([0], [100], target_risk=target, confidence_level=level)
    with pytest.raises(InputError):
        min_accepted_to_certify(target, level)


# --- the guarantee, by simulation -----------------------------------------------------------

TARGET = 0.05
N_SETS = 1000
N_POOL = 4000
N_CERTIFY = 2000


@dataclass(frozen=True)
class Looks:
    """One row per image: reliability and outcome of the raw answer and of the one kept."""

    raw: np.ndarray
    raw_correct: np.ndarray
    kept: np.ndarray
    kept_correct: np.ndarray


def images(n, seed):
    """Images whose answers are right about as often as stated, restored ones a bit less often."""
    rng = np.random.default_rng(seed)
    raw = rng.beta(3.0, 0.4, n)
    kept = np.maximum(raw, rng.beta(3.0, 0.4, n) * (rng.random(n) < 0.5))
    truth = np.where(kept > raw, 0.97 * kept, kept)
    return Looks(raw, rng.random(n) < raw, kept, rng.random(n) < truth)


def replay(looks, path):
    """Whether each image is accepted and wrongly so at each step of the path, (N, M) each."""
    by_raw = looks.raw[:, None] >= path.raw
    by_kept = ~by_raw & (looks.kept[:, None] >= path.restored)
    wrong = (by_raw & ~looks.raw_correct[:, None]) | (by_kept & ~looks.kept_correct[:, None])
    return by_raw | by_kept, wrong


def frozen_path():
    """The path and its start, both fixed on images of their own."""
    path = ThresholdPath(raw=np.linspace(0.999, 0.5, 120), restored=np.linspace(1.0, 0.6, 120))
    accepted, wrong = replay(images(3000, seed=1), path)
    return path.starting_at(starting_point(wrong.sum(0), accepted.sum(0), TARGET))


@pytest.fixture(scope="module")
def simulation():
    """Counts of 1,000 certify sets drawn from the pool, and the risk on the whole pool, (M,)."""
    path = frozen_path()
    accepted, wrong = replay(images(N_POOL, seed=2), path)
    rng = np.random.default_rng(3)
    drawn = np.stack(
        [np.bincount(rng.integers(N_POOL, size=N_CERTIFY), minlength=N_POOL) for _ in range(N_SETS)]
    ).astype(np.float32)
    n_accepted = np.rint(drawn @ accepted.astype(np.float32)).astype(int)
    n_wrong = np.rint(drawn @ wrong.astype(np.float32)).astype(int)
    return n_wrong, n_accepted, wrong.sum(0) / accepted.sum(0), accepted.mean(0)


def test_the_simulation_can_tell(simulation):
    """The path runs from well below the target to well above it, on the pool itself."""
    _, _, risk, coverage = simulation
    assert risk[0] < 0.03
    assert risk[-1] > 0.08
    assert coverage[-1] > coverage[0] + 0.3


@pytest.mark.parametrize(("level", "at_most"), [(0.9, 123), (0.95, 67), (0.99, 18)])
def test_the_guarantee_holds(simulation, level, at_most):
    n_wrong, n_accepted, risk, coverage = simulation
    chosen = [
        fixed_sequence_test(k, n, target_risk=TARGET, confidence_level=level).index
        for k, n in zip(n_wrong, n_accepted, strict=True)
    ]
    assert at_most == stats.binom.ppf(0.99, N_SETS, 1 - level)
    assert None not in chosen
    violations = np.count_nonzero(risk[chosen] > TARGET)
    assert violations <= at_most
    # Not bought by timidity: most of what hindsight would accept is accepted.
    assert np.mean(coverage[chosen]) > 0.85 * coverage[risk <= TARGET].max()


def test_picking_by_the_observed_risk_breaks_the_promise(simulation):
    n_wrong, n_accepted, risk, _ = simulation
    observed_ok = n_wrong <= TARGET * n_accepted
    last_ok = observed_ok.shape[1] - 1 - np.argmax(observed_ok[:, ::-1], axis=1)
    assert np.count_nonzero(risk[last_ok] > TARGET) > 300


def test_copies_of_one_image_break_the_promise(simulation):
    """The same sets, each image counted eight times: the binomial takes copies for evidence."""
    n_wrong, n_accepted, risk, _ = simulation
    chosen = [
        fixed_sequence_test(8 * k, 8 * n, target_risk=TARGET, confidence_level=0.95).index
        for k, n in zip(n_wrong, n_accepted, strict=True)
    ]
    assert np.count_nonzero(risk[[c for c in chosen if c is not None]] > TARGET) > 134


def test_too_little_data_cannot_certify():
    path = frozen_path()
    accepted, wrong = replay(images(40, seed=4), path)
    result = fixed_sequence_test(
        wrong.sum(0), accepted.sum(0), target_risk=TARGET, confidence_level=0.95
    )
    assert not result.certified
    assert "needs at least 59" in result.reason
