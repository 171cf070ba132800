"""The walk made again from its parts: by hand on a few rows, and as fitting made it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gatekeeper.evaluation.grid import Mix
from gatekeeper.evaluation.walk import Target, calibrate_attempts, groups_along, margin_of, walk
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
    judged, clean = calibrate_attempts(
        fitted, small.data, small.splits, mix, builder, doubt_below=policy.doubt_below
    )
    then = small.result.calibrate
    assert judged.digests.tolist() == then.digests.tolist()
    np.testing.assert_allclose(judged.raw_reliability, then.raw_reliability, atol=1e-12)
    np.testing.assert_allclose(judged.restored_reliability, then.restored_reliability, atol=1e-12)
    assert len(clean) == small_gate.SIZES["calibrate"]
    assert set(clean.plan.corruptions.tolist()) == {""}
    margin = fitted.gate.switch_margin
    assert margin_of(judged, clean, policy) == margin
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


def restored_rows(n: int, raw: float, restored: float, right: tuple[bool, bool]):
    """n attempts of one kind: reliabilities, and whether raw and restored answer are right."""
    judged = small_gate.small().result.certify.take(np.arange(n))
    labels = judged.labels
    other = (labels + 1) % 10
    return replace(
        judged,
        raw_labels=labels if right[0] else other,
        raw_reliability=np.full(n, raw),
        restored_labels=labels if right[1] else other,
        restored_reliability=np.full(n, restored),
        restorers=np.full(n, "median", dtype="<U32"),
    )


def policy(**changed):
    return small_gate.recipe(
        target_risk=0.1, doubt_below=0.99, switch_margins=(0.1, 0.3, 0.5), **changed
    ).policy


def test_the_largest_margin_that_costs_no_coverage_is_taken() -> None:
    # Restoration gains 0.4: margins 0.1 and 0.3 keep its right answers, 0.5 keeps the wrong ones.
    judged = restored_rows(40, 0.5, 0.9, (False, True))
    clean = restored_rows(40, 0.9, 0.9, (True, True))
    assert margin_of(judged, clean, policy()) == 0.3
    assert margin_of(judged, clean, policy(coverage_tolerance=1.0)) == 0.5


def test_a_margin_that_loses_clean_images_is_taken_only_where_allowed() -> None:
    judged = restored_rows(40, 0.5, 0.9, (False, True))
    # At 0.1 and 0.3 restoring turns every right answer at a clean image wrong.
    clean = restored_rows(40, 0.5, 0.9, (True, False))
    assert margin_of(judged, clean, policy()) == 0.5
    assert margin_of(judged, clean, policy(clean_flips=1.0)) == 0.3
