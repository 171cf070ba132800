"""The walk made again from its parts: by hand on a few rows, and as fitting made it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gatekeeper.evaluation.grid import Mix
from gatekeeper.evaluation.walk import Target, calibrate_attempts, groups_along, walk
from gatekeeper.evidence import TableBuilder
from gatekeeper.fitting import certify
from gatekeeper.risk_control import min_accepted_to_certify, risk_upper_bound
from tests import small_gate

TARGET = Target(risk=0.1, confidence_level=0.95, doubt_below=0.99)


def rows(reliability, right):
    """Attempts of a stated reliability, without restoration."""
    judged = small_gate.small().result.certify.take(np.arange(len(reliability)))
    labels = np.where(right, judged.raw_labels, (judged.raw_labels + 1) % 10)
    return replace(
        judged.without_restoration(), labels=labels, raw_reliability=np.asarray(reliability)
    )


def test_it_stops_before_the_first_failure() -> None:
    # 60 right answers at 0.9 and 60 wrong ones at 0.5: 60 without error pass, 120 with 60 do not.
    reliability, right = np.repeat([0.9, 0.5], 60), np.repeat([True, False], 60)
    judged = rows(reliability, right)
    assert min_accepted_to_certify(0.1, 0.95) <= 60
    walked = walk(judged, judged, 1.0, TARGET)
    # Of the levels between the two none accepts a wrong answer: the last of them is reached.
    assert 0.5 < walked.accept_raw_at <= 0.9
    assert (walked.verdict.n_accepted, walked.verdict.n_wrong) == (60, 0)
    assert walked.verdict.upper_bound == pytest.approx(risk_upper_bound(0, 60, 0.95))


def test_where_nothing_passes_it_stands_at_its_start() -> None:
    judged = rows(np.linspace(0.1, 0.9, 40), np.zeros(40, dtype=bool))
    walked = walk(judged, judged, 1.0, TARGET)
    assert walked.verdict.index is None
    assert walked.accept_raw_at == walked.path.raw[0]
    assert walked.accept_restored_at == walked.path.restored[0]
    assert groups_along(walked, judged, 1.0, TARGET) == {}


def test_it_is_the_walk_that_fitting_made() -> None:
    small = small_gate.small()
    fitted, policy = small.result.fitted, small_gate.recipe().policy
    builder = TableBuilder(
        small.data, fitted.classifier, fitted.restorers, cache=small_gate.folder() / "cells"
    )
    mix = Mix(("impulse", "dark", "gaussian"), 0.5)
    judged = calibrate_attempts(
        fitted, small.data, small.splits, mix, builder, doubt_below=policy.doubt_below
    )
    then = small.result.calibrate
    assert judged.digests.tolist() == then.digests.tolist()
    np.testing.assert_allclose(judged.raw_reliability, then.raw_reliability, atol=1e-12)
    np.testing.assert_allclose(judged.restored_reliability, then.restored_reliability, atol=1e-12)
    margin = fitted.gate.switch_margin
    target = Target(
        risk=policy.target_risk,
        confidence_level=policy.confidence_level,
        doubt_below=policy.doubt_below,
    )
    walked = walk(judged, small.result.certify, margin, target)
    gate, verdict = certify(then, small.result.certify, margin, policy)
    assert walked.verdict == verdict
    assert walked.accept_raw_at == pytest.approx(gate.accept_raw_at)
    groups = groups_along(walked, small.result.certify, margin, target)
    assert list(groups.values()) == list(fitted.certificate["groups"])
