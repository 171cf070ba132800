"""A certificate held against its data: every number that can be counted again is counted again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatekeeper.bundle import FittedGate
from gatekeeper.corruptions import corruption
from gatekeeper.errors import DataError
from gatekeeper.evaluation.grid import declared_mix, own_splits
from gatekeeper.evaluation.walk import (
    Target,
    Walk,
    calibrate_attempts,
    groups_along,
    margin_of,
    walk,
)
from gatekeeper.evidence import TableBuilder, draw_plan
from gatekeeper.gate import Gate
from gatekeeper.images import Dataset
from gatekeeper.judging import Judged, judge
from gatekeeper.progress import Progress
from gatekeeper.recipe import PolicyRecipe
from gatekeeper.risk_control import condition_groups, risk_upper_bound
from gatekeeper.risk_control.binomial import binomial_tail

CLOSE = 1e-9

ROUNDING = 1e-6
"""How far a threshold that a walk finds may lie from the recorded one: it is a reliability, which
comes from evidence in 32 bits. What is counted at it must be the same."""

_MARGIN = "switch_margin: needs the candidates of its recipe"
_WALK = (
    "the walk along the threshold path, and with it the groups' p-values and bounds: needs "
    "doubt_below, which this certificate does not state, of its recipe"
)


def not_recomputed(
    certificate: Mapping[str, Any], policy: PolicyRecipe | None = None
) -> tuple[str, ...]:
    """Numbers of a certificate that :func:`recount_certificate` leaves out, and what they need.

    What is fitted again from the recipe is not counted here: the router, the trust in the learned
    predictor and the arbiter are no numbers of a walk.

    Args:
        certificate: As it was published. One of before 2026-11-25 does not state ``doubt_below``,
            and the walk cannot be made again without its recipe.
        policy: What its recipe asked for; None where that is not known.
    """
    if policy is not None:
        return ()
    return (_MARGIN,) if "doubt_below" in certificate else (_WALK, _MARGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """One number of a certificate, and the same counted again.

    Attributes:
        name: Where it stands, dotted.
        recorded: As it was written.
        recomputed: As it is now.
        within: How far two numbers may lie apart, at least 0. What is fitted again may move with
            another machine's rounding, and so may a threshold in its last 32-bit digits; what is
            counted again may not.
    """

    name: str
    recorded: Any
    recomputed: Any
    within: float = CLOSE

    @property
    def same(self) -> bool:
        """Whether both agree; numbers up to ``within``, everything else exactly."""
        if _is_number(self.recorded) and _is_number(self.recomputed):
            return abs(float(self.recorded) - float(self.recomputed)) <= self.within
        return bool(self.recorded == self.recomputed)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def recount_certificate(
    fitted: FittedGate,
    certificate: Mapping[str, Any],
    data: Dataset,
    *,
    policy: PolicyRecipe | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> list[Recount]:
    """Look at the *calibrate* and *certify* images again, walk the path and count.

    Args:
        fitted: The gate of the certificate's bundle.
        certificate: As it was published; what the bundle holds must be the same.
        data: The data set.
        policy: What the recipe asked for; with it the switch margin is chosen again.
        cache: Folder of finished cells.
        progress: Told of every look.

    Returns:
        Every number that was recomputed: identities, thresholds, counts, bounds, coverage, groups
        and variants; where neither certificate nor policy states ``doubt_below`` no walk, and of
        the groups the counts alone. :func:`not_recomputed` says what is left out.

    Raises:
        DataError: these are not the certificate's data, or it does not say for which traffic it
            was made.
    """
    splits = own_splits(data, int(certificate["seed"]), certificate)
    mix = declared_mix(certificate)
    if mix is None:
        raise DataError(
            "expected a certificate whose conditions name its traffic, got "
            f"{certificate.get('conditions')}: it cannot be counted again"
        )
    builder = TableBuilder(
        data,
        fitted.classifier,
        fitted.restorers,
        cache=cache,
        progress=progress,
        views=fitted.views,
        second_opinion=fitted.second,
    )
    plan = draw_plan(
        data,
        "certify",
        splits.certify,
        corruptions=mix.corruptions,
        clean_share=mix.clean_share,
        seed=int(certificate["seed"]),
        purpose="certify",
    )
    stated = certificate.get("doubt_below", None if policy is None else policy.doubt_below)
    target = Target(
        risk=float(certificate["target_risk"]),
        confidence_level=float(certificate["confidence_level"]),
        # Above its threshold the gate never restores: no look is missing that it would take.
        doubt_below=float(stated) if stated is not None else min(1.0, fitted.gate.accept_raw_at),
    )
    judged = judge(fitted, builder.raw(plan), builder, doubt_below=target.doubt_below)
    found = [
        *_identities(fitted, certificate),
        *_whole(fitted, certificate, judged),
        *_groups(fitted, certificate, judged),
        *_variants(certificate, judged),
    ]
    if stated is not None:
        calibrate, clean = calibrate_attempts(
            fitted, data, splits, mix, builder, doubt_below=target.doubt_below
        )
        found += _walked(certificate, calibrate, judged, target)
        if policy is not None:
            margin = margin_of(calibrate, clean, policy)
            found.append(_recount(certificate, "switch_margin", margin, "recipe."))
    return found


def _identities(fitted: FittedGate, certificate: Mapping[str, Any]) -> Iterator[Recount]:
    yield _recount(certificate, "classifier_digest", fitted.classifier.digest)
    for name in ("accept_raw_at", "accept_restored_at", "switch_margin"):
        yield _recount(certificate, name, getattr(fitted.gate, name))
    for name, value in fitted.certificate.items():
        yield Recount(name=f"bundle.{name}", recorded=certificate.get(name), recomputed=value)


def _recount(
    block: Mapping[str, Any],
    name: str,
    value: object,
    prefix: str = "",
    *,
    within: float = CLOSE,
) -> Recount:
    recorded = block.get(name)
    return Recount(name=f"{prefix}{name}", recorded=recorded, recomputed=value, within=within)


def _whole(fitted: FittedGate, certificate: Mapping[str, Any], judged: Judged) -> Iterator[Recount]:
    target, level = float(certificate["target_risk"]), float(certificate["confidence_level"])
    n_accepted, n_wrong, _, _ = _counts(fitted.gate, judged)
    tail = binomial_tail(n_wrong, n_accepted, target)
    certified = tail <= 1.0 - level
    numbers = {
        "n_certify": len(judged),
        "n_accepted": n_accepted,
        "n_wrong": n_wrong,
        "tail_probability": tail,
        "upper_bound": risk_upper_bound(n_wrong, n_accepted, level),
        "certified": certified,
        "certified_coverage": n_accepted / len(judged) if certified else 0.0,
    }
    for name, value in numbers.items():
        yield _recount(certificate, name, value)


def _counts(gate: Gate, judged: Judged) -> tuple[int, int, Any, Any]:
    """Accepted, wrong among them, and both per row."""
    replayed = gate.replay(judged.raw_reliability, judged.restored_reliability)
    wrong = judged.final_labels(replayed.keep_restored) != judged.labels
    accepted = replayed.accepted
    return int(accepted.sum()), int((accepted & wrong).sum()), accepted, accepted & wrong


def _groups(
    fitted: FittedGate, certificate: Mapping[str, Any], judged: Judged
) -> Iterator[Recount]:
    recorded = {group["name"]: group for group in certificate.get("groups") or ()}
    if not recorded:
        return
    _, _, accepted, wrong = _counts(fitted.gate, judged)
    families = [corruption(n).families if n else () for n in judged.plan.corruptions.tolist()]
    groups = condition_groups(families, judged.plan.severities)
    for name in sorted({*recorded, *groups}):
        rows = groups.get(name, np.zeros(len(judged), dtype=bool))
        block, prefix = recorded.get(name, {}), f"groups.{name}."
        yield _recount(block, "n_images", int(rows.sum()), prefix)
        yield _recount(block, "n_accepted", int(accepted[rows].sum()), prefix)
        yield _recount(block, "n_wrong", int(wrong[rows].sum()), prefix)


def _variants(certificate: Mapping[str, Any], judged: Judged) -> Iterator[Recount]:
    block = (certificate.get("variants") or {}).get("no_restorer")
    if block is None:
        return
    target, level = float(certificate["target_risk"]), float(certificate["confidence_level"])
    at = float(block["accept_raw_at"])
    gate = Gate(accept_raw_at=at, accept_restored_at=at, switch_margin=1.0)
    n_accepted, n_wrong, _, _ = _counts(gate, judged.without_restoration())
    certified = binomial_tail(n_wrong, n_accepted, target) <= 1.0 - level
    numbers = {
        "n_accepted": n_accepted,
        "n_wrong": n_wrong,
        "upper_bound": risk_upper_bound(n_wrong, n_accepted, level),
        "certified": certified,
        "certified_coverage": n_accepted / len(judged) if certified else 0.0,
    }
    for name, value in numbers.items():
        yield _recount(block, name, value, "variants.no_restorer.")


def _walked(
    certificate: Mapping[str, Any], calibrate: Judged, judged: Judged, target: Target
) -> Iterator[Recount]:
    """Where both walks stop, and what the groups' claim says along the first."""
    margin = float(certificate["switch_margin"])
    walked = walk(calibrate, judged, margin, target)
    yield from _stop(certificate, walked, "walk.")
    at = walked.accept_restored_at
    yield _recount(certificate, "accept_restored_at", at, "walk.", within=ROUNDING)
    groups = groups_along(walked, judged, margin, target)
    recorded = {group["name"]: group for group in certificate.get("groups") or ()}
    for name in sorted({*recorded, *groups}):
        block, group = recorded.get(name, {}), groups.get(name, {})
        for key in ("p_value", "adjusted_p_value", "upper_bound", "certified", "reason"):
            yield Recount(
                name=f"walk.groups.{name}.{key}",
                recorded=block.get(key),
                recomputed=group.get(key),
            )
    alone = (certificate.get("variants") or {}).get("no_restorer")
    if alone is not None:
        variant = walk(calibrate.without_restoration(), judged.without_restoration(), 1.0, target)
        yield from _stop(alone, variant, "walk.variants.no_restorer.")


def _stop(block: Mapping[str, Any], walked: Walk, prefix: str) -> Iterator[Recount]:
    yield _recount(block, "accept_raw_at", walked.accept_raw_at, prefix, within=ROUNDING)
    for name in ("n_accepted", "n_wrong", "upper_bound", "certified", "reason"):
        yield _recount(block, name, getattr(walked.verdict, name), prefix)
