"""The estimate without labels: whom it learns from, and what it says of the small gate."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.evidence import Plan, draw_plan
from gatekeeper.fitting.accuracy import accuracy_estimator
from gatekeeper.judging import judge
from tests import small_gate


def plan(corruptions: list[str], severities: list[float]) -> Plan:
    n = len(corruptions)
    return Plan(
        split="calibrate",
        positions=np.arange(n),
        corruptions=np.array(corruptions),
        severities=np.array(severities),
        seeds=np.arange(n),
    )


def test_rows_of_one_kind_teach_nothing() -> None:
    none = np.zeros(2, dtype=bool)
    assert accuracy_estimator(plan(["", ""], [0, 0]), np.ones(2), none, none) is None


def test_accepted_answers_of_one_kind_teach_no_risk() -> None:
    """By hand: both conditions are stated 0.5 and are right half the time, so nothing is off."""
    right = np.array([True, False, True, False])
    rows = plan(["", "", "fog", "fog"], [0, 0, 1.2, 0.9])
    accepted = np.array([True, True, False, False])
    found = accuracy_estimator(rows, np.full(4, 0.5), right, accepted)
    assert found is not None
    assert set(found.state()) == {"confidence_level", "all"}
    estimate = found.accuracy(np.full(100, 0.5))
    assert estimate.value == 0.5
    assert estimate.calibration_error == 0.0
    assert estimate.sampling_error == pytest.approx(0.05)


def test_the_small_gate_estimates_its_accuracy_on_new_images() -> None:
    small = small_gate.small()
    gate = small.result.fitted
    rows = np.concatenate([small.splits.test, small.splits.validation])
    builder = small_gate.fitter().builder
    table = builder.raw(
        draw_plan(
            small.data, "test", rows, corruptions=["gaussian", "impulse"], clean_share=0.5,
            seed=1, purpose="accuracy",
        )
    )  # fmt: skip
    judged = judge(gate, table, builder, doubt_below=0.99)
    replay = gate.gate.replay(judged.raw_reliability, judged.restored_reliability)
    final = gate.final_reliability(replay.kept_reliability, replay.keep_restored)
    right = judged.final_labels(replay.keep_restored) == judged.labels
    assert gate.accuracy is not None
    estimate = gate.accuracy.accuracy(final)
    assert estimate.low <= right.mean() <= estimate.high
    assert estimate.high - estimate.low < 0.4
    risk = gate.accuracy.accepted_risk(final, replay.accepted)
    assert risk.low <= np.mean(~right[replay.accepted]) <= risk.high
