"""The policy by hand, its corner cases, and that replaying agrees with deciding row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.decision import Action, Reason
from gatekeeper.errors import InputError
from gatekeeper.gate import Gate

GATE = Gate(accept_raw_at=0.75, accept_restored_at=0.5, switch_margin=0.25)

# Eighths are exact in binary, so ties happen; the others fall anywhere.
UNIT = st.integers(0, 8).map(lambda k: k / 8) | st.floats(0, 1)


@pytest.mark.parametrize(
    ("raw", "restored", "action", "reason", "keep_restored"),
    [
        (0.9, None, Action.ACCEPT, Reason.ACCEPTED_RAW, False),
        (0.75, None, Action.ACCEPT, Reason.ACCEPTED_RAW, False),  # a tie accepts
        (0.75, 1.0, Action.ACCEPT, Reason.ACCEPTED_RAW, False),  # raw comes first
        (np.nextafter(0.75, 0), None, Action.ABSTAIN, Reason.NO_RESTORER, False),
        (0.125, 0.5, Action.ACCEPT, Reason.ACCEPTED_AFTER_RESTORATION, True),  # a tie accepts
        (0.5, 0.75, Action.ABSTAIN, Reason.RESTORATION_NOT_BETTER, False),  # the margin is strict
        (0.5, np.nextafter(0.75, 1), Action.ACCEPT, Reason.ACCEPTED_AFTER_RESTORATION, True),
        (0.125, 0.375, Action.ABSTAIN, Reason.RESTORATION_NOT_BETTER, False),
        (0.125, 0.4375, Action.ABSTAIN, Reason.STILL_UNRELIABLE, True),
        (0.0, 0.0, Action.ABSTAIN, Reason.RESTORATION_NOT_BETTER, False),
    ],
)
def test_the_policy_by_hand(raw, restored, action, reason, keep_restored):
    outcome = GATE.decide(raw, restored)
    assert (outcome.action, outcome.reason, outcome.keep_restored) == (
        action,
        reason,
        keep_restored,
    )


def test_first_step():
    assert GATE.first(0.75) is Action.ACCEPT
    assert GATE.first(0.7499) is Action.RESTORE


@given(
    raw_at=UNIT | st.just(1.5),
    restored_at=UNIT | st.just(1.5),
    margin=UNIT,
    rows=st.lists(st.tuples(UNIT, UNIT | st.none()), min_size=1, max_size=30),
)
def test_replay_agrees_with_decide_row_by_row(raw_at, restored_at, margin, rows):
    gate = Gate(accept_raw_at=raw_at, accept_restored_at=restored_at, switch_margin=margin)
    raw = np.array([row[0] for row in rows])
    restored = np.array([np.nan if row[1] is None else row[1] for row in rows])
    replay = gate.replay(raw, restored)
    for i, (first, second) in enumerate(rows):
        outcome = gate.decide(first, second)
        assert replay.accepted[i] == (outcome.action is Action.ACCEPT)
        assert replay.keep_restored[i] == outcome.keep_restored
        assert replay.restored[i] == (first < raw_at and second is not None)
        assert replay.kept_reliability[i] == (second if outcome.keep_restored else first)


def test_a_threshold_above_one_accepts_nothing():
    gate = Gate(accept_raw_at=1.5, accept_restored_at=1.5, switch_margin=0.0)
    assert not gate.replay(np.ones(3), np.array([1.0, 0.5, np.nan])).accepted.any()


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.1, np.inf])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(InputError, match=r"probability in \[0, 1\].*was it calibrated"):
        GATE.first(value)
    with pytest.raises(InputError, match=r"probability in \[0, 1\]"):
        GATE.decide(value, None)
    with pytest.raises(InputError, match=r"probability in \[0, 1\]"):
        GATE.decide(0.1, value)
    with pytest.raises(InputError, match="were they calibrated"):
        GATE.replay(np.array([0.5, value]), np.array([np.nan, np.nan]))


@pytest.mark.parametrize("value", [-0.1, 1.1, np.inf])
def test_replay_refuses_restored_reliabilities_that_decide_refuses(value):
    with pytest.raises(InputError, match="restored reliabilities"):
        GATE.replay(np.array([0.5]), np.array([value]))


def test_arrays_that_do_not_line_up_are_refused():
    with pytest.raises(InputError, match=r"one length, got shapes \(2,\) and \(3,\)"):
        GATE.replay(np.zeros(2), np.zeros(3))
    with pytest.raises(InputError, match="one length"):
        GATE.replay(np.zeros((2, 1)), np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accept_raw_at": -0.1}, "accept_raw_at must be a number of at least 0, got -0.1"),
        ({"accept_restored_at": np.nan}, "accept_restored_at must be a number"),
        ({"accept_raw_at": np.inf}, "accept_raw_at must be a number"),
        ({"switch_margin": -0.1}, r"switch_margin must be in \[0, 1\], got -0.1"),
        ({"switch_margin": np.nan}, "switch_margin must be in"),
    ],
)
def test_gates_that_cannot_be_meant_are_refused(change, message):
    options = {"accept_raw_at": 0.5, "accept_restored_at": 0.5, "switch_margin": 0.1}
    with pytest.raises(InputError, match=message):
        Gate(**{**options, **change})


NAN = float("nan")


@pytest.mark.parametrize(
    ("attempts", "column"),
    [
        ([NAN, NAN], -1),
        ([0.6, NAN], 0),  # not good enough, and the only one
        ([0.6, 0.7], 1),  # neither is good enough: the more reliable one
        ([0.7, 0.6], 0),
        ([0.7, 0.7], 0),  # alike: the earlier one
        ([0.8, 0.95], 0),  # the first is good enough, the second is never made
        ([0.6, 0.9], 1),
    ],
)
def test_which_of_several_attempts_counts(attempts: list[float], column: int) -> None:
    gate = Gate(accept_raw_at=0.9, accept_restored_at=0.8, switch_margin=0.1)
    assert gate.resting(np.array([0.3]), np.array([attempts])).tolist() == [column]


def test_an_attempt_within_the_margin_does_not_end_them() -> None:
    gate = Gate(accept_raw_at=0.9, accept_restored_at=0.8, switch_margin=0.1)
    raw, attempts = np.array([0.75]), np.array([[0.84, 0.86]])
    assert gate.met(raw[:, None], attempts).tolist() == [[False, True]]
    assert gate.resting(raw, attempts).tolist() == [1]


@pytest.mark.parametrize("shape", [(2,), (3, 1), (2, 0)])
def test_attempts_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    gate = Gate(accept_raw_at=0.9, accept_restored_at=0.8, switch_margin=0.1)
    with pytest.raises(InputError, match=r"expected attempts of shape \(2, A\)"):
        gate.resting(np.zeros(2), np.zeros(shape))
