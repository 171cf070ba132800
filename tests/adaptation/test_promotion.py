"""The rule, condition by condition."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatekeeper.adaptation.comparing import Contest, Paired, Side
from gatekeeper.adaptation.promotion import judge_promotion, met
from gatekeeper.adaptation.recipe import PromotionRule

SIDE = Side(
    accuracy_raw=0.7,
    accuracy=0.75,
    failure_auroc=0.8,
    coverage=0.5,
    accepted_risk=0.03,
    accepted_risk_interval=(0.01, 0.06),
    help=30,
    harm=3,
    restored_share=0.4,
    certified_coverage=0.5,
)
DUEL = Paired(
    n=500,
    better=40,
    worse=4,
    difference=0.072,
    low=0.05,
    harm_bound=0.018,
    p_value=1e-6,
    confidence_level=0.95,
)
CONTEST = Contest(
    images="a test", champion=SIDE, challenger=SIDE, paired=DUEL, coverage_difference=0.0
)
RULE = PromotionRule()


def failed(found: Contest, *, rule: PromotionRule = RULE, certified: bool = True) -> list[int]:
    judged = judge_promotion(found, rule, certified=certified)
    assert met(judged) is all(condition.passed for condition in judged)
    return [place for place, condition in enumerate(judged) if not condition.passed]


def test_a_challenger_that_meets_everything() -> None:
    assert failed(CONTEST) == []


def test_without_a_certificate_nothing_is_promoted() -> None:
    assert failed(CONTEST, certified=False) == [0]


@pytest.mark.parametrize(
    ("change", "place"),
    [({"n": 199}, 1), ({"low": 0.0}, 2), ({"harm_bound": 0.0201}, 4)],
)
def test_each_paired_condition(change: dict[str, float], place: int) -> None:
    assert failed(replace(CONTEST, paired=replace(DUEL, **change))) == [place]


def test_certified_coverage_may_not_fall_below_its_margin() -> None:
    lower = replace(CONTEST, challenger=replace(SIDE, certified_coverage=0.49))
    assert failed(lower) == [3]
    assert failed(lower, rule=PromotionRule(coverage_margin=0.011)) == []


def test_the_margin_of_accuracy_is_strict() -> None:
    assert failed(CONTEST, rule=PromotionRule(accuracy_margin=0.05)) == [2]
    assert failed(CONTEST, rule=PromotionRule(accuracy_margin=0.049)) == []
