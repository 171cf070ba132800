"""The risk monitor: a supermartingale by arithmetic, its level and its speed by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gatekeeper.errors import InputError
from gatekeeper.monitoring import RiskMonitor, labels_until_withdrawal

TARGET = 0.05


def after(outcomes, **options):
    """A monitor that has seen these labels."""
    monitor = RiskMonitor(**{"target_risk": TARGET, **options})
    for wrong in outcomes:
        monitor.update(bool(wrong))
    return monitor


def copy_of(monitor):
    return RiskMonitor.from_state(monitor.state())


def brute_force(outcomes):
    """The e-value by its definition: every alternative, every label at which a bet may start."""
    ratios = [1.15, 1.3, 1.5, 1.75, 2, 2.25, 2.6, 3, 4, 6, 10, 20]
    money = [m / 21 for m in (1, 1, 1, 2, 4, 4, 2, 2, 1, 1, 1, 1)]
    waiting = [1.0] + [0.4 / (1 + math.log(n)) for n in range(1, len(outcomes) + 1)]
    total = waiting[-1]
    for start in range(len(outcomes)):
        for ratio, amount in zip(ratios, money, strict=True):
            odds = ratio * TARGET / (1 - TARGET)
            q = odds / (1 + odds)
            grown = amount * (waiting[start] - waiting[start + 1])
            for wrong in outcomes[start:]:
                grown *= q / TARGET if wrong else (1 - q) / (1 - TARGET)
            total += grown
    return total


@pytest.mark.parametrize("outcomes", [[], [0], [1], [1, 1, 0, 1], [0] * 30, [0] * 9 + [1] * 4])
def test_e_value_is_its_definition(outcomes):
    np.testing.assert_allclose(after(outcomes).e_value, brute_force(outcomes), rtol=1e-12)


@given(
    st.lists(st.booleans(), max_size=25),
    st.sampled_from([0.01, 0.05, 0.3, 0.5, 0.9]),
    st.floats(0, 1),
)
def test_the_mean_over_the_next_label_never_rises_under_the_null(outcomes, target, share):
    monitor = after(outcomes, target_risk=target)
    if_wrong, if_right = copy_of(monitor), copy_of(monitor)
    if_wrong.update(True)
    if_right.update(False)
    mean = target * if_wrong.e_value + (1 - target) * if_right.e_value
    np.testing.assert_allclose(mean, monitor.e_value, rtol=1e-10)  # at the target: a martingale
    risk = share * target
    assert risk * if_wrong.e_value + (1 - risk) * if_right.e_value <= mean * (1 + 1e-12)


def test_it_starts_at_one_and_moves_with_the_labels():
    assert after([]).e_value == 1.0
    assert after([0]).e_value < 1.0 < after([1]).e_value


def test_withdrawal_is_final_and_says_when_and_why():
    monitor = after([])
    states = [monitor.update(True) for _ in range(4)]
    first = next(state for state in states if state.withdrawn)
    assert first.e_value >= 20
    assert (first.withdrawn_at, first.n_labels, first.n_wrong) == (3, 3, 3)
    assert "Withdrawn at label 3, now 3 wrong of 3" in first.reason
    assert "at most 0.05 while the risk is at most the target risk 0.05" in first.reason
    for _ in range(500):
        late = monitor.update(False)
    assert late.e_value < 20
    assert (late.withdrawn, late.withdrawn_at, monitor.withdrawn) == (True, 3, True)
    assert late.reason.startswith("Withdrawn at label 3, now 4 wrong of 504")


def test_a_monitor_that_stands_says_so():
    state = after([0, 0, 1, 0]).state_of_evidence()
    assert (state.withdrawn, state.withdrawn_at) == (False, None)
    assert state.reason.startswith("Not withdrawn: 1 wrong of 4 labelled accepted answers")


def test_a_higher_level_asks_for_more():
    assert RiskMonitor(target_risk=TARGET, confidence_level=0.99).threshold == pytest.approx(100)
    needed = [
        labels_until_withdrawal(np.ones((1, 9), bool), target_risk=TARGET, confidence_level=level)
        for level in (0.5, 0.95, 0.999999)
    ]
    assert [int(n[0]) for n in needed] == sorted(int(n[0]) for n in needed)
    assert needed[0] < needed[2]


def test_feedback_that_does_not_count_moves_nothing():
    monitor = after([1, 0])
    before = monitor.e_value
    for options in ({"accepted": False}, {"at_random": False}):
        state = monitor.update(True, **options)
        assert (state.e_value, state.n_labels) == (before, 2)
    assert state.n_ignored == 2


def test_labels_drawn_more_often_are_thinned_to_the_smallest_probability():
    monitor = RiskMonitor(target_risk=TARGET, sampling_share=0.1)
    for seed in range(4000):
        monitor.update(False, sampled_with=0.4, seed=seed)
    assert stats.binomtest(monitor.n_labels, 4000, 0.25).pvalue > 0.001
    assert monitor.state_of_evidence().n_ignored == 4000 - monitor.n_labels
    again = RiskMonitor(target_risk=TARGET, sampling_share=0.1)
    for seed in reversed(range(4000)):
        again.update(False, sampled_with=0.4, seed=seed)
    assert again.n_labels == monitor.n_labels  # by seed, not by order
    kept = again.update(False, sampled_with=0.1)
    assert kept.n_labels == monitor.n_labels + 1


def test_thinning_removes_the_bias_of_labelling_doubtful_answers_more_often():
    """Half of the answers are risky and labelled four times as often; the risk is the target."""
    rng = np.random.default_rng(3)
    n_wrong = n_labels = raw_wrong = raw = 0
    monitor = RiskMonitor(target_risk=TARGET, sampling_share=0.1)
    for seed in range(40_000):
        risky = bool(rng.random() < 0.5)
        wrong = bool(rng.random() < (0.09 if risky else 0.01))
        probability = 0.4 if risky else 0.1
        if rng.random() < probability:
            monitor.update(wrong, sampled_with=probability, seed=seed)
            raw, raw_wrong = raw + 1, raw_wrong + wrong
    state = monitor.state_of_evidence()
    n_labels, n_wrong = state.n_labels, state.n_wrong
    assert stats.binomtest(n_wrong, n_labels, TARGET).pvalue > 0.01
    assert stats.binomtest(raw_wrong, raw, TARGET).pvalue < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampled_with": 0.05, "seed": 1}, "between sampling_share 0.1 and 1, got 0.05"),
        ({"sampled_with": 1.5, "seed": 1}, "got 1.5"),
        ({"sampled_with": float("nan"), "seed": 1}, "sampled_with"),
        ({"sampled_with": 0.5}, "needs the answer's seed"),
    ],
)
def test_impossible_sampling_is_refused(options, message):
    monitor = RiskMonitor(target_risk=TARGET, sampling_share=0.1)
    with pytest.raises(InputError, match=message):
        monitor.update(False, **options)
    assert monitor.n_labels == 0


@pytest.mark.parametrize(
    "options",
    [
        {"target_risk": 0.0},
        {"target_risk": 1.0},
        {"target_risk": 0.05, "confidence_level": 1.0},
        {"target_risk": 0.05, "sampling_share": 0.0},
        {"target_risk": 0.05, "sampling_share": 1.1},
    ],
)
def test_promises_that_mean_nothing_are_refused(options):
    with pytest.raises(InputError):
        RiskMonitor(**options)


def test_state_round_trip_goes_on_as_if_nothing_had_happened():
    outcomes = np.random.default_rng(1).random(300) < 0.1
    whole = after(outcomes)
    half = copy_of(after(outcomes[:150]))
    for wrong in outcomes[150:]:
        half.update(bool(wrong))
    assert half.state_of_evidence() == whole.state_of_evidence()
    assert all(isinstance(array, np.ndarray) for array in whole.state().values())


def test_damaged_state_is_refused():
    state = after([1, 0]).state()
    for name, array in (("started", np.zeros(3)), ("started", state["started"] * np.nan)):
        with pytest.raises(InputError):
            RiskMonitor.from_state({**state, name: array})
    with pytest.raises(InputError, match="at least 0"):
        RiskMonitor.from_state({**state, "counts": np.array([-1.0, 0, 0, 0])})
    with pytest.raises(InputError, match="shapes"):
        RiskMonitor.from_state({"counts": np.zeros(4)})


@pytest.mark.parametrize("wrong", [False, True])
def test_numbers_stay_finite_after_ten_million_labels(wrong):
    state = after([0] * 50).state()
    state["counts"] = np.array([1e7, 4e5, 0, 0])
    monitor = RiskMonitor.from_state(state)
    with np.errstate(all="raise", under="ignore"):
        for _ in range(3000):
            monitor.update(wrong)
    assert math.isfinite(monitor.e_value)
    assert monitor.e_value >= 0
    assert monitor.withdrawn is wrong


def test_replay_is_the_monitor_stream_by_stream():
    streams = np.random.default_rng(2).random((20, 200)) < 0.15
    found = labels_until_withdrawal(streams, target_risk=TARGET)
    assert found.tolist() == [after(row).state_of_evidence().withdrawn_at or 0 for row in streams]
    assert 0 < np.count_nonzero(found) < 21


@pytest.mark.parametrize("wrong", [[True], [[0.1]], np.zeros((2, 2, 2), bool)])
def test_replay_refuses_what_is_no_set_of_streams(wrong):
    with pytest.raises(InputError, match=r"boolean of shape \(R, T\)"):
        labels_until_withdrawal(wrong, target_risk=TARGET)


# --- level and speed, by simulation -------------------------------------------------------------

N_RUNS = 1000


def streams(n_labels, risk, seed):
    return np.random.default_rng(seed).random((N_RUNS, n_labels)) < risk


def test_false_withdrawals_at_the_target_stay_within_the_level():
    found = labels_until_withdrawal(streams(10_000, TARGET, 4), target_risk=TARGET)
    assert stats.binom.ppf(0.99, N_RUNS, 0.05) == 67
    assert 5 <= np.count_nonzero(found) <= 67


def test_a_risk_below_the_target_that_drifts_up_to_it_is_left_alone():
    risk = np.linspace(0.0, TARGET, 4000)
    found = labels_until_withdrawal(streams(4000, risk, 5), target_risk=TARGET)
    assert np.count_nonzero(found) <= 67


def test_twice_the_target_is_found_soon():
    found = labels_until_withdrawal(streams(1500, 2 * TARGET, 6), target_risk=TARGET)
    assert np.all(found > 0)
    assert np.median(found) <= 200


def test_a_change_after_a_long_good_time_is_found():
    risk = np.where(np.arange(6000) < 5000, 0.6 * TARGET, 4 * TARGET)
    found = labels_until_withdrawal(streams(6000, risk, 7)[:200], target_risk=TARGET)
    late = found[(found == 0) | (found > 5000)]
    assert np.all(late > 0)
    assert np.median(late) <= 5200
