"""Paired figures against McNemar and Clopper–Pearson by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from gatekeeper.adaptation.comparing import contest, paired, side_of
from gatekeeper.errors import InputError
from tests import small_gate


def answers(both: int, better: int, worse: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    champion = [True] * both + [False] * better + [True] * worse + [False] * neither
    challenger = [True] * both + [True] * better + [False] * worse + [False] * neither
    return np.array(champion), np.array(challenger)


def test_the_difference_and_its_bound() -> None:
    found = paired(*answers(50, 20, 5, 25), confidence_level=0.95)
    assert (found.n, found.better, found.worse) == (100, 20, 5)
    assert found.difference == pytest.approx(0.15)
    share = float(stats.beta.ppf(0.05, 20, 6))
    assert found.low == pytest.approx((2 * share - 1) * 0.25)
    assert found.harm_bound == pytest.approx(float(stats.beta.ppf(0.95, 6, 95)))
    assert found.p_value == pytest.approx(float(stats.binomtest(20, 25, 0.5).pvalue))


@pytest.mark.parametrize(("better", "above"), [(5, True), (4, False)])
def test_the_bound_is_above_zero_where_the_exact_test_rejects(better: int, above: bool) -> None:
    # Five to none: 0.5^5 = 0.031; four to none: 0.0625.
    found = paired(*answers(10, better, 0, 3), confidence_level=0.95)
    assert (found.low > 0) is above


def test_equal_answers_and_a_challenger_that_is_never_better() -> None:
    same = paired(*answers(3, 0, 0, 2), confidence_level=0.95)
    assert (same.difference, same.low, same.p_value) == (0.0, 0.0, 1.0)
    lost = paired(*answers(3, 0, 4, 3), confidence_level=0.95)
    assert lost.low == lost.difference == pytest.approx(-0.4)


def test_answers_to_nothing_or_to_other_images_are_refused() -> None:
    with pytest.raises(InputError, match="the same images"):
        paired(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool), confidence_level=0.95)
    with pytest.raises(InputError, match="got 2 and 3"):
        paired(np.zeros(2, dtype=bool), np.zeros(3, dtype=bool), confidence_level=0.95)


def test_a_gate_against_itself_without_its_restorers() -> None:
    result = small_gate.small().result
    fitted, judged = result.fitted, result.calibrate
    without = judged.without_restoration()
    found = contest(
        (fitted, without, 0.1), (fitted, judged, 0.4), images="calibrate", confidence_level=0.9
    )
    # Without a restorer nothing is helped or harmed, and the raw answers are the same.
    assert (found.champion.help, found.champion.harm) == (0, 0)
    assert found.champion.accuracy == found.champion.accuracy_raw == found.challenger.accuracy_raw
    assert found.paired.better == found.challenger.help
    assert found.paired.worse == found.challenger.harm
    assert found.coverage_difference == pytest.approx(
        found.challenger.coverage - found.champion.coverage
    )
    assert found.to_json()["challenger"]["certified_coverage"] == 0.4


def test_attempts_at_other_images_are_refused() -> None:
    result = small_gate.small().result
    rows = np.arange(10)
    some, others = result.calibrate.take(rows), result.calibrate.take(rows + 1)
    with pytest.raises(InputError, match="at the same images"):
        contest(
            (result.fitted, some, 0.0),
            (result.fitted, others, 0.0),
            images="x",
            confidence_level=0.9,
        )


def test_a_gate_that_accepts_nothing_has_no_accepted_risk() -> None:
    result = small_gate.small().result
    shy = replace(
        result.fitted, gate=replace(result.fitted.gate, accept_raw_at=1.1, accept_restored_at=1.1)
    )
    side = side_of(shy, result.calibrate, certified_coverage=0.0)
    assert (side.coverage, side.accepted_risk, side.accepted_risk_interval) == (0.0, None, None)
