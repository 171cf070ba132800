"""From recorded attempts to a policy: path, switch margin, stopping point, groups.

Pure functions of what was recorded on *calibrate* and *certify*.
"""

from __future__ import annotations

from gatekeeper.corruptions import corruption
from gatekeeper.evidence import require_one_row_per_image
from gatekeeper.gate import Gate
from gatekeeper.judging import Judged, sweep
from gatekeeper.recipe import PolicyRecipe
from gatekeeper.risk_control import (
    Certification,
    GroupCertificate,
    ThresholdPath,
    condition_groups,
    fixed_sequence_test,
    group_certificates,
    starting_point,
)


def path_through(calibrate: Judged, margin: float, policy: PolicyRecipe) -> ThresholdPath:
    """The frozen path: one threshold on both calibrated reliabilities, from strict to lenient.

    Equal thresholds are best where both attempts are calibrated: a raw and a restored answer of
    the same reliability are worth the same. The path starts where the tail probability on
    *calibrate* is smallest; the raw threshold never exceeds ``doubt_below``, above which no
    restored look is on record.
    """
    path = sweep(calibrate, margin, doubt_below=policy.doubt_below)
    accepted, wrong = calibrate.counts(path, margin)
    return path.starting_at(starting_point(wrong, accepted, policy.target_risk))


def choose_margin(calibrate: Judged, clean: Judged, policy: PolicyRecipe) -> float:
    """The largest switch margin that costs next to no coverage, and leaves clean images be.

    A large margin keeps a right raw answer from being replaced; a small one lets more wrong
    answers be rescued. Among the margins that lose fewest right answers on clean images, the
    largest is taken whose coverage at the target risk is within ``coverage_tolerance`` of the
    best: where two margins cover alike, the less harmful one is right.

    Args:
        calibrate: Attempts under the declared mix.
        clean: Attempts at clean images.
        policy: Candidates, target, tolerance, and the share of clean images whose right answer
            may be lost.
    """
    covered, lost = {}, {}
    right = clean.raw_correct
    for margin in policy.switch_margins:
        flipped = clean.flips(margin, doubt_below=policy.doubt_below)
        lost[margin] = max(0, int(flipped.sum()) - int(policy.clean_flips * right.sum()))
        covered[margin] = hindsight_coverage(calibrate, margin, policy)
    harmless = [margin for margin in covered if lost[margin] == min(lost.values())]
    best = max(covered[margin] for margin in harmless)
    return max(m for m in harmless if covered[m] >= best - policy.coverage_tolerance)


def hindsight_coverage(judged: Judged, margin: float, policy: PolicyRecipe) -> float:
    """Largest coverage on the path with selective risk at most the target; not a guarantee."""
    accepted, wrong = judged.counts(path_through(judged, margin, policy), margin)
    kept = accepted[wrong <= policy.target_risk * accepted]
    return float(kept.max(initial=0) / len(judged))


def certify(
    calibrate: Judged, judged: Judged, margin: float, policy: PolicyRecipe
) -> tuple[Gate, Certification]:
    """Freeze the path on *calibrate*, then move along it on *certify* until the first failure.

    Args:
        calibrate: Attempts that shape the path.
        judged: Attempts on *certify*, one row per image.
        margin: The switch margin, fixed beforehand.
        policy: Target risk and confidence level.

    Returns:
        The gate at the last point that passed (at the strictest point where none did), and the
        verdict.

    Raises:
        InputError: a base image of *certify* occurs twice.
    """
    require_one_row_per_image(judged.digests)
    path = path_through(calibrate, margin, policy)
    accepted, wrong = judged.counts(path, margin)
    verdict = fixed_sequence_test(
        wrong,
        accepted,
        target_risk=policy.target_risk,
        confidence_level=policy.confidence_level,
    )
    point = verdict.index or 0
    gate = Gate(
        accept_raw_at=float(path.raw[point]),
        accept_restored_at=float(path.restored[point]),
        switch_margin=margin,
    )
    return gate, verdict


def certify_groups(
    calibrate: Judged,
    judged: Judged,
    margin: float,
    policy: PolicyRecipe,
    verdict: Certification,
) -> tuple[GroupCertificate, ...]:
    """What the certified policy promises of clean images, each family and each severity band.

    One claim: all its statements hold together at the policy's confidence level. The policy was
    chosen on the same rows, so every group is tested along the whole walk.

    Args:
        calibrate: Attempts that shaped the path.
        judged: Attempts on *certify*, one row per image.
        margin: The switch margin.
        policy: Target risk and confidence level.
        verdict: Where the walk ended; without a certificate there is nothing to divide.
    """
    if verdict.index is None:
        return ()
    path = path_through(calibrate, margin, policy)
    walked = ThresholdPath(
        raw=path.raw[: verdict.index + 1], restored=path.restored[: verdict.index + 1]
    )
    accepted, wrong = judged.steps(walked, margin)
    families = [corruption(n).families if n else () for n in judged.plan.corruptions.tolist()]
    groups = condition_groups(families, judged.plan.severities)
    return group_certificates(accepted, wrong, groups, policy.target_risk, policy.confidence_level)
