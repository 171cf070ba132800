"""The declared rule by which a challenger may become the champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gatekeeper.adaptation.comparing import Contest
from gatekeeper.adaptation.recipe import PromotionRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of the rule.

    Attributes:
        name: What is asked, in words.
        value: What was measured.
        limit: What it is compared with.
        passed: Whether it is met.
    """

    name: str
    value: float
    limit: float
    passed: bool

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def judge_promotion(found: Contest, rule: PromotionRule, *, certified: bool) -> list[Condition]:
    """Every condition of the rule, met or not.

    Args:
        found: Champion against challenger, on images that neither has used.
        rule: What is asked.
        certified: Whether the challenger holds a certificate.
    """
    duel = found.paired
    gained = found.challenger.certified_coverage - found.champion.certified_coverage
    return [
        Condition(
            name="the challenger is certified",
            value=float(certified),
            limit=1.0,
            passed=certified,
        ),
        Condition(
            name="enough images judge",
            value=float(duel.n),
            limit=float(rule.least_images),
            passed=duel.n >= rule.least_images,
        ),
        Condition(
            name="lower bound of the paired difference of accuracy is above the margin",
            value=duel.low,
            limit=rule.accuracy_margin,
            passed=duel.low > rule.accuracy_margin,
        ),
        Condition(
            name="certified coverage is not lower",
            value=gained,
            limit=-rule.coverage_margin,
            passed=gained >= -rule.coverage_margin,
        ),
        Condition(
            name="upper bound of the share that is worse is small",
            value=duel.harm_bound,
            limit=rule.most_harm,
            passed=duel.harm_bound <= rule.most_harm,
        ),
    ]


def met(conditions: Sequence[Condition]) -> bool:
    """Whether the whole rule is met."""
    return all(condition.passed for condition in conditions)
