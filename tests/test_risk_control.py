"""The certificate: exact arithmetic, stopping at the first failure, and the guarantee itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gatekeeper.errors import InputError
from gatekeeper.risk_control import (
    ThresholdPath,
    binomial_tail,
    fixed_sequence_test,
    holm,
    min_accepted_to_certify,
    risk_upper_bound,
    starting_point,
)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 59), (3, 100), (100, 100), (480, 10_000)])
def test_tail_is_the_binomial_one(k, n):
    assert binomial_tail(k, n, 0.05) == pytest.approx(stats.binom.cdf(k, n, 0.05), rel=1e-9)


def test_tail_of_nothing_accepted_is_no_evidence():
    assert binomial_tail(0, 0, 0.05) == 1.0
    assert risk_upper_bound(0, 0) == 1.0


@given(
    st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.floats(0.01, 0.5),
    st.sampled_from([0.9, 0.95, 0.99]),
)
def test_the_bound_is_below_the_target_exactly_where_the_tail_is_small(counts, target, level):
    margin = risk_upper_bound(*counts, level) - target
    if abs(margin) > 1e-9:
        assert (margin < 0) == (binomial_tail(*counts, target) <= 1 - level)


@pytest.mark.parametrize("target", [0.001, 0.01, 0.05, 0.1, 0.5, 0.95, 0.99])
@pytest.mark.parametrize("level", [0.01, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999])
def test_min_accepted_is_the_smallest_that_certifies(target, level):
    n = min_accepted_to_certify(target, level)
    test = {"target_risk": target, "confidence_level": level}
    assert fixed_sequence_test([0], [n], **test).certified
    assert not fixed_sequence_test([0], [n - 1], **test).certified


def test_min_accepted_by_hand():
    assert min_accepted_to_certify(0.05, 0.95) == 59
    assert min_accepted_to_certify(0.01, 0.99) == 459


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


def test_holm_by_hand():
    # Sorted .005, .01, .03, .04 against .05/4, .05/3, .05/2, .05: the third stops it.
    assert holm([0.01, 0.04, 0.03, 0.005], 0.95).tolist() == [True, False, False, True]
    assert holm([0.04], 0.95).tolist() == [True]
    assert holm([0.2, 0.001], 0.95).tolist() == [False, True]
    # .02 exceeds .05/3 and needs only .05/2, once .01 is out of the way: more than Bonferroni.
    assert holm([0.01, 0.02, 0.9], 0.95).tolist() == [True, True, False]
    # A later one below its own limit does not count once an earlier one failed.
    assert holm([0.026, 0.03], 0.95).tolist() == [False, False]


@given(
    st.lists(st.floats(0, 1) | st.floats(0, 0.1), min_size=1, max_size=8),
    st.sampled_from([0.9, 0.99]),
)
def test_holm_agrees_with_its_definition_and_lies_between_bonferroni_and_nothing(p_values, level):
    refuted = holm(p_values, level)
    p = np.array(p_values)
    expected = []
    for own in p:
        at_or_below = np.unique(p[p <= own])
        expected.append(
            all(q <= (1 - level) / (len(p) - np.count_nonzero(p < q)) for q in at_or_below)
        )
    # Equal p-values share the strictest limit in the definition; the step-down may refute the
    # rest of a tie only if it refuted its first, so both agree.
    assert refuted.tolist() == expected
    assert np.all(refuted[p <= (1 - level) / len(p)])
    assert not np.any(refuted[p > 1 - level])


def test_holm_keeps_the_familywise_level():
    rng = np.random.default_rng(0)
    false = sum(holm(rng.random(5), 0.9).any() for _ in range(1000))
    assert 60 <= false <= stats.binom.ppf(0.99, 1000, 0.1)


@pytest.mark.parametrize("p_values", [[], [[0.1]], [1.2], [-0.1], [float("nan")]])
def test_holm_refuses_what_is_no_p_value(p_values):
    with pytest.raises(InputError, match="p_values"):
        holm(p_values, 0.95)


def test_path_is_a_locked_copy():
    raw = np.array([0.9, 0.5])
    path = ThresholdPath(raw=raw, restored=np.array([0.95, 0.95]))
    raw[0] = 0.1
    assert path.raw.tolist() == [0.9, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        path.raw[0] = 0.1
    assert len(path) == 2


def test_path_can_start_later():
    path = ThresholdPath(raw=[0.9, 0.8, 0.7], restored=[2.0, 0.9, 0.9]).starting_at(1)
    assert (path.raw.tolist(), path.restored.tolist()) == ([0.8, 0.7], [0.9, 0.9])
    for outside in (-1, 2):
        with pytest.raises(InputError, match="step"):
            path.starting_at(outside)


@pytest.mark.parametrize(
    ("raw", "restored", "message"),
    [
        ([0.5, 0.6], [0.9, 0.9], "raw thresholds .* 0.5 to 0.6 at step 1"),
        ([0.9, 0.9], [0.5, 0.6], "restored thresholds"),
        ([0.9], [0.9, 0.8], "as many raw as restored"),
        ([], [], "M at least 1"),
        ([0.9, -0.1], [0.9, 0.9], "at least 0"),
        ([0.9, np.nan], [0.9, 0.9], "at least 0"),
    ],
)
def test_paths_that_are_none_are_refused(raw, restored, message):
    with pytest.raises(InputError, match=message):
        ThresholdPath(raw=np.array(raw), restored=np.array(restored))


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
