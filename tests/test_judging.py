"""Recorded attempts, several per image: which one counts is found anew for every gate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.evidence import Plan
from gatekeeper.gate import Gate
from gatekeeper.judging import Judged, JudgedPlans, sweep
from gatekeeper.risk_control import ThresholdPath

NAN = float("nan")


def plans() -> JudgedPlans:
    """Four images of class 0, answered 1 at first; attempts answer 2 and 0."""
    n = 4
    tried = np.array([[0.6, 0.9], [0.7, 0.65], [NAN, NAN], [0.85, 0.95]])
    labels = np.where(np.isnan(tried), 1, np.array([[2, 0]]))
    return JudgedPlans(
        plan=Plan(
            split="certify",
            positions=np.arange(n),
            corruptions=np.full(n, ""),
            severities=np.zeros(n, dtype=int),
            seeds=np.arange(n),
        ),
        digests=np.array(list("abcd")),
        labels=np.zeros(n, dtype=int),
        raw_labels=np.ones(n, dtype=int),
        msp=np.full(n, 0.4),
        raw_score=np.zeros(n),
        raw_reliability=np.array([0.3, 0.3, 0.3, 0.3]),
        signals=np.zeros((n, 1)),
        restorers=np.where(np.isnan(tried[:, 0]), "", "median"),
        restored_labels=labels[:, 0],
        restored_reliability=tried[:, 0],
        tried_restorers=np.where(np.isnan(tried), "", np.array([["median", "unet"]])),
        tried_labels=labels,
        tried_reliability=tried,
    )


def gate(at: float) -> Gate:
    return Gate(accept_raw_at=1.5, accept_restored_at=at, switch_margin=0.1)


def test_the_attempt_that_counts_follows_the_threshold() -> None:
    strict, mild = plans().settled(gate(0.8)), plans().settled(gate(0.5))
    assert strict.restored_reliability[[0, 1, 3]].tolist() == [0.9, 0.7, 0.85]
    assert strict.restored_labels.tolist() == [0, 2, 1, 2]
    assert strict.restorers.tolist() == ["unet", "median", "", "median"]
    assert mild.restored_reliability[[0, 1, 3]].tolist() == [0.6, 0.7, 0.85]
    assert mild.restored_labels.tolist() == [2, 2, 1, 2]
    assert np.isnan(mild.restored_reliability[2])
    # What was settled for one gate can be settled for another.
    assert mild.settled(gate(0.8)).restored_labels.tolist() == [0, 2, 1, 2]


def test_counts_along_a_path_are_those_of_the_whole_policy() -> None:
    path = ThresholdPath(raw=np.array([0.95, 0.9, 0.5]), restored=np.array([0.95, 0.9, 0.5]))
    accepted, wrong = plans().counts(path, 0.1)
    # At 0.95: image 3 by its second attempt, right. At 0.9: image 0 too, right. At 0.5: images 0,
    # 1 and 3 by their first attempts, all wrong.
    assert accepted.tolist() == [1, 2, 3]
    assert wrong.tolist() == [0, 0, 3]


def test_the_path_goes_through_the_most_reliable_attempts() -> None:
    path = sweep(plans(), 0.1)
    assert path.restored.max() == 0.95
    assert path.restored.min() == pytest.approx(0.3)


def test_rows_and_parts_keep_their_attempts() -> None:
    some = plans().take(np.array([3, 0]))
    assert isinstance(some, JudgedPlans)
    assert some.tried_reliability.tolist() == [[0.85, 0.95], [0.6, 0.9]]
    both = Judged.concatenate([some, plans()])
    assert isinstance(both, JudgedPlans)
    assert len(both) == 6
    one = Judged(**{name: getattr(plans(), name) for name in Judged.__dataclass_fields__})
    assert type(one) is Judged
    assert one.settled(gate(0.5)) is one
    with pytest.raises(InputError, match="judged alike"):
        Judged.concatenate([one, plans()])


def test_without_restoration_nothing_is_left_of_the_attempts() -> None:
    bare = plans().without_restoration().settled(gate(0.1))
    assert np.isnan(bare.restored_reliability).all()
    assert bare.restored_labels.tolist() == [1, 1, 1, 1]
    assert set(bare.restorers.tolist()) == {""}


def test_a_flip_at_any_threshold_counts() -> None:
    # Right at first (0): the first attempt (2) is wrong, the second (0) is right.
    right = replace(plans(), raw_labels=np.zeros(4, dtype=int))
    assert right.flips(0.1, doubt_below=0.99).tolist() == [True, True, False, True]
    assert right.flips(0.35, doubt_below=0.99).tolist() == [False, True, False, True]
    assert right.flips(0.1, doubt_below=0.3).tolist() == [False] * 4
    assert plans().flips(0.1, doubt_below=0.99).tolist() == [False] * 4
