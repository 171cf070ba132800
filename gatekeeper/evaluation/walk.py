"""The walk along the threshold path, made again from *calibrate* and *certify* images.

Composed from the floors below, not from ``fitting``: what is checked does not check itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatekeeper.bundle import FittedGate
from gatekeeper.corruptions import corruption
from gatekeeper.evaluation.grid import Mix
from gatekeeper.evidence import EvidenceTable, TableBuilder, draw_plan
from gatekeeper.images import Dataset, Splits
from gatekeeper.judging import Judged, judge, mixed_rows, sweep
from gatekeeper.recipe import PolicyRecipe
from gatekeeper.risk_control import (
    Certification,
    ThresholdPath,
    condition_groups,
    fixed_sequence_test,
    group_certificates,
    starting_point,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was to be certified.

    Attributes:
        risk: Target risk, in (0, 1).
        confidence_level: In (0, 1).
        doubt_below: Raw reliability below which restored looks are on record, in [0, 1].
    """

    risk: float
    confidence_level: float
    doubt_below: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """One walk: the path, where it stopped, and what was seen there.

    Attributes:
        path: From its frozen start towards more coverage.
        verdict: Where it stopped; the first point where nothing passed.
    """

    path: ThresholdPath
    verdict: Certification

    @property
    def accept_raw_at(self) -> float:
        """Threshold of raw answers at the point reached."""
        return float(self.path.raw[self.verdict.index or 0])

    @property
    def accept_restored_at(self) -> float:
        """Threshold of restored answers at the point reached."""
        return float(self.path.restored[self.verdict.index or 0])


def calibrate_attempts(
    fitted: FittedGate,
    data: Dataset,
    splits: Splits,
    mix: Mix,
    builder: TableBuilder,
    *,
    doubt_below: float,
) -> tuple[Judged, Judged]:
    """The attempts at *calibrate* images on which fitting chose the margin and froze the path.

    Args:
        fitted: The gate.
        data: The data set.
        splits: Its splits, as they were then.
        mix: The declared traffic.
        builder: Makes the looks.
        doubt_below: As in fitting.

    Returns:
        Attempts under the declared mix, and at the clean images alone.
    """
    plans = [
        draw_plan(
            data,
            "calibrate",
            splits.calibrate,
            corruptions=mix.corruptions,
            clean_share=share,
            seed=fitted.seed,
            purpose="calibrate",
        )
        for share in (1.0, 0.0)
    ]
    table = EvidenceTable.concatenate([builder.raw(plan) for plan in plans])
    rows = mixed_rows(len(plans[0]), len(plans[1]), mix.clean_share)
    judged = judge(fitted, table, builder, doubt_below=doubt_below)
    return judged.take(rows), judged.take(np.arange(len(plans[0])))


def margin_of(calibrate: Judged, clean: Judged, policy: PolicyRecipe) -> float:
    """The switch margin that a recipe's rule takes.

    The largest margin whose coverage at the target risk is within ``coverage_tolerance`` of the
    best, among those that lose fewest right answers at clean images beyond the share allowed.

    Args:
        calibrate: Attempts under the declared mix.
        clean: Attempts at clean images.
        policy: Candidates, target risk, tolerance and allowed share.
    """
    allowed = int(policy.clean_flips * int(clean.raw_correct.sum()))
    lost = {
        margin: max(0, int(clean.flips(margin, doubt_below=policy.doubt_below).sum()) - allowed)
        for margin in policy.switch_margins
    }
    fewest = min(lost.values())
    covered = {
        margin: _hindsight_coverage(calibrate, margin, policy)
        for margin in policy.switch_margins
        if lost[margin] == fewest
    }
    enough = max(covered.values()) - policy.coverage_tolerance
    return max(margin for margin, coverage in covered.items() if coverage >= enough)


def _hindsight_coverage(judged: Judged, margin: float, policy: PolicyRecipe) -> float:
    """Largest share accepted on the frozen path with selective risk at most the target."""
    path = sweep(judged, margin, doubt_below=policy.doubt_below)
    accepted, wrong = judged.counts(path, margin)
    start = starting_point(wrong, accepted, policy.target_risk)
    kept = accepted[start:][wrong[start:] <= policy.target_risk * accepted[start:]]
    return float(kept.max(initial=0) / len(judged))


def walk(calibrate: Judged, certify: Judged, margin: float, target: Target) -> Walk:
    """Freeze the path on *calibrate*, walk it on *certify* until the first failure.

    Args:
        calibrate: Attempts that shape the path.
        certify: Attempts that stop it, one row per image.
        margin: The switch margin.
        target: Risk, confidence level and the raw reliability above which nothing was restored.
    """
    path = sweep(calibrate, margin, doubt_below=target.doubt_below)
    accepted, wrong = calibrate.counts(path, margin)
    path = path.starting_at(starting_point(wrong, accepted, target.risk))
    accepted, wrong = certify.counts(path, margin)
    verdict = fixed_sequence_test(
        wrong, accepted, target_risk=target.risk, confidence_level=target.confidence_level
    )
    return Walk(path=path, verdict=verdict)


def groups_along(
    walked: Walk, certify: Judged, margin: float, target: Target
) -> Mapping[str, Mapping[str, Any]]:
    """Name of a group -> what the claim says of it; nothing where nothing is certified."""
    if walked.verdict.index is None:
        return {}
    steps = np.arange(walked.verdict.index + 1)
    part = ThresholdPath(raw=walked.path.raw[steps], restored=walked.path.restored[steps])
    accepted, wrong = certify.steps(part, margin)
    families = [corruption(n).families if n else () for n in certify.plan.corruptions.tolist()]
    groups = condition_groups(families, certify.plan.severities)
    found = group_certificates(accepted, wrong, groups, target.risk, target.confidence_level)
    return {group.name: asdict(group) for group in found}
