"""A fitted gate on judged traffic: streams, their figures, curves and examples.

Every test image is looked at once under every condition; streams are rows of those tables, so a
stream holds each image at most once and costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gatekeeper.bundle import FittedGate
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.decision import Decision
from gatekeeper.errors import InputError
from gatekeeper.evidence import TableBuilder, degrade, draw_plan
from gatekeeper.gate import Replay
from gatekeeper.images import Dataset, Splits, fit_to
from gatekeeper.judging import Judged, judge, sweep
from gatekeeper.metrics import (
    ReliabilityBins,
    RiskCoverageCurve,
    aurc,
    debiased_calibration_error,
    exact_upper_bound,
    expected_calibration_error,
    failure_auroc,
    ideal_coverage,
    reliability_bins,
)
from gatekeeper.monitoring import WINDOW
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.recipe import ConditionsRecipe
from gatekeeper.types import BoolArray, FloatArray, IntArray

_CURVE_POINTS = 300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Streams:
    """Judged attempts, by stream and by family.

    Attributes:
        streams: ``clean``, ``declared``, ``open``, ``seen_families``, ``held_out_families``.
        families: Family → every test image once under it, severities evenly.
        held_out: Names of the families that nothing was fitted on.
    """

    streams: Mapping[str, Judged]
    families: Mapping[str, Judged]
    held_out: tuple[str, ...]


def judge_streams(
    fitted: FittedGate,
    data: Dataset,
    splits: Splits,
    conditions: ConditionsRecipe,
    *,
    builder: TableBuilder,
    doubt_below: float,
    seed: int,
) -> Streams:
    """Look at every *test* image under every condition and deal the rows out to the streams.

    Args:
        fitted: The gate.
        data: The data set.
        splits: Only *test* is read.
        conditions: Which corruptions are seen, which held out, and the share of clean images.
        builder: Makes evidence tables.
        doubt_below: As in fitting: raw reliability below which a restored look is taken.
        seed: The run's seed.
    """
    names = ("", *conditions.seen, *conditions.held_out)
    tables = []
    for name in names:
        plan = draw_plan(
            data,
            "test",
            splits.test,
            corruptions=[name] if name else [],
            clean_share=0.0 if name else 1.0,
            seed=seed,
            purpose=f"test/{name}",
        )
        tables.append(judge(fitted, builder.raw(plan), builder, doubt_below=doubt_below))
    everything = Judged.concatenate(tables)

    def stream(corruptions: Sequence[str], clean_share: float, purpose: str) -> Judged:
        plan = draw_plan(
            data,
            "test",
            splits.test,
            corruptions=corruptions,
            clean_share=clean_share,
            seed=seed,
            purpose=purpose,
        )
        table = np.array([names.index(name) for name in plan.corruptions.tolist()])
        return everything.take(table * len(plan) + np.arange(len(plan)))

    clean_share = conditions.clean_share
    streams = {
        "clean": tables[0],
        "declared": stream(conditions.seen, clean_share, "stream/declared"),
        "open": stream(names[1:], clean_share, "stream/open"),
        "seen_families": stream(conditions.seen, 0.0, "stream/seen"),
    }
    if conditions.held_out:
        streams["held_out_families"] = stream(conditions.held_out, 0.0, "stream/held-out")
    families = {family_of(n): t for n, t in zip(names[1:], tables[1:], strict=True)}
    held_out = tuple(family_of(name) for name in conditions.held_out)
    return Streams(streams=streams, families=families, held_out=held_out)


def family_of(name: str) -> str:
    """The families of a corruption as one name, joined by "+" for a composition."""
    return "+".join(CORRUPTIONS[name].families)


def replay(fitted: FittedGate, judged: Judged) -> Replay:
    """The fitted policy on recorded attempts."""
    return fitted.gate.replay(judged.raw_reliability, judged.restored_reliability)


def final_correct(judged: Judged, replayed: Replay) -> BoolArray:
    """Whether the answer that counts, before abstention, is right, shape (N,)."""
    return np.asarray(judged.final_labels(replayed.keep_restored) == judged.labels)


def summarise(fitted: FittedGate, judged: Judged) -> dict[str, Any]:
    """All figures of one stream, JSON-ready; an undefined one is None."""
    replayed = replay(fitted, judged)
    raw, final = judged.raw_correct, final_correct(judged, replayed)
    accepted = replayed.accepted
    n_accepted, n_wrong = int(accepted.sum()), int((accepted & ~final).sum())
    reliability = final_reliability(fitted, replayed)
    target = float(fitted.certificate["target_risk"])
    return {
        "n": len(judged),
        "accuracy_no_gate": float(raw.mean()),
        "accuracy_final": float(final.mean()),
        "n_accepted": n_accepted,
        "n_wrong_accepted": n_wrong,
        "coverage": n_accepted / len(judged),
        "selective_risk": n_wrong / n_accepted if n_accepted else None,
        "coverage_at_risk": coverage_at_risk(fitted, judged, target),
        "ideal_coverage": ideal_coverage(float(1.0 - final.mean()), target),
        "restored_share": float(replayed.restored.mean()),
        "help": int((~raw & final).sum()),
        "harm": int((raw & ~final).sum()),
        "failure_auroc": _both(failure_auroc, judged),
        "aurc": _both(aurc, judged),
        "ece": {
            "msp": expected_calibration_error(judged.msp, raw),
            "reliability": expected_calibration_error(reliability, final),
        },
        "ece_debiased": {
            "msp": debiased_calibration_error(judged.msp, raw),
            "reliability": debiased_calibration_error(reliability, final),
        },
    }


def final_reliability(fitted: FittedGate, replayed: Replay) -> FloatArray:
    """The number that is returned for each image, shape (N,)."""
    return fitted.final_reliability(
        replayed.kept_reliability, replayed.keep_restored.astype(np.float64)
    )


def _both(
    metric: Callable[[FloatArray, BoolArray], float], judged: Judged
) -> dict[str, float | None]:
    """A metric of the baseline and of the predictor, both about the raw answer."""
    right = judged.raw_correct
    if right.all() or not right.any():
        return {"msp": None, "gatekeeper": None}
    return {"msp": metric(judged.msp, right), "gatekeeper": metric(judged.raw_score, right)}


def coverage_at_risk(fitted: FittedGate, judged: Judged, target: float) -> dict[str, float]:
    """Largest coverage with selective risk at most the target, thresholds chosen with hindsight.

    Of the maximum softmax, of the raw predictor, and of the whole policy (one threshold on both
    attempts, the fitted margin).
    """
    right = judged.raw_correct
    curve = policy_curve(fitted, judged)
    kept = curve.coverage[curve.selective_risk <= target]
    return {
        "msp": RiskCoverageCurve.from_scores(judged.msp, right).coverage_at_risk(target),
        "raw": RiskCoverageCurve.from_scores(judged.raw_score, right).coverage_at_risk(target),
        "policy": float(kept.max(initial=0.0)),
    }


def policy_curve(fitted: FittedGate, judged: Judged) -> RiskCoverageCurve:
    """Risk and coverage of the whole policy along its path, one point per distinct coverage."""
    path = sweep(judged, fitted.gate.switch_margin)
    accepted, wrong = judged.counts(path, fitted.gate.switch_margin)
    coverage, first = np.unique(accepted, return_index=True)
    some = coverage > 0
    return RiskCoverageCurve(
        coverage=coverage[some] / len(judged),
        selective_risk=wrong[first][some] / coverage[some],
        threshold=path.restored[first][some],
    )


def curves(fitted: FittedGate, judged: Judged) -> dict[str, RiskCoverageCurve]:
    """Risk–coverage curves of maximum softmax, raw predictor and policy, thinned for drawing."""
    found = {
        "msp": RiskCoverageCurve.from_scores(judged.msp, judged.raw_correct),
        "raw": RiskCoverageCurve.from_scores(judged.raw_score, judged.raw_correct),
        "policy": policy_curve(fitted, judged),
    }
    return {name: _thinned(curve) for name, curve in found.items()}


def _thinned(curve: RiskCoverageCurve) -> RiskCoverageCurve:
    n_points = len(curve.coverage)
    keep = np.unique(np.linspace(0, n_points - 1, min(n_points, _CURVE_POINTS)).astype(int))
    return RiskCoverageCurve(
        coverage=curve.coverage[keep],
        selective_risk=curve.selective_risk[keep],
        threshold=curve.threshold[keep],
    )


def diagrams(fitted: FittedGate, judged: Judged) -> dict[str, ReliabilityBins]:
    """Reliability diagrams of the maximum softmax and of the final reliability."""
    replayed = replay(fitted, judged)
    return {
        "Maximum softmax, raw answer": reliability_bins(judged.msp, judged.raw_correct),
        "Reliability, final answer": reliability_bins(
            final_reliability(fitted, replayed), final_correct(judged, replayed)
        ),
    }


def clean_harm(fitted: FittedGate, clean: Judged) -> dict[str, Any]:
    """Clean images whose right answer the policy turned wrong: count, rate and exact bound."""
    flips = int((clean.raw_correct & ~final_correct(clean, replay(fitted, clean))).sum())
    n_right = int(clean.raw_correct.sum())
    return {
        "clean_flips": flips,
        "clean_correct": n_right,
        "clean_harm_rate": flips / n_right if n_right else None,
        "clean_harm_upper_bound": exact_upper_bound(flips, n_right) if n_right else None,
    }


def conditions_flags(fitted: FittedGate, judged: Judged) -> dict[str, Any]:
    """Whether a stream looks like the certified traffic, in windows of images as they arrive."""
    if len(judged) < WINDOW:
        return {"flagged": False, "reason": f"fewer than {WINDOW} images: not tested"}
    # Data sets may be sorted by class; traffic arrives mixed.
    order = np.random.default_rng(0).permutation(len(judged))
    share = fitted.conditions.flagged_share(judged.signals[order], judged.raw_reliability[order])
    reason = f"{share:.0%} of the windows of {WINDOW} images differ from the certified traffic"
    return {"flagged": share > 0.5, "reason": reason, "flagged_windows": share}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """One judged image with its pixels.

    Attributes:
        corruption: Name, None for clean.
        severity: 1…5, None for clean.
        truth: True class.
        received: The image as received, uint8, shape (H, W, 3).
        restored: What the restorer whose answer counts made of it, or None.
        decision: What the gate said.
    """

    corruption: str | None
    severity: int | None
    truth: int
    received: IntArray
    restored: IntArray | None
    decision: Decision


def examples(
    gatekeeper: Gatekeeper, data: Dataset, judged: Judged, rows: IntArray
) -> list[Example]:
    """Pixels and decisions of some rows, made anew from the data.

    Raises:
        InputError: a row is out of range.
    """
    if len(rows) and not 0 <= int(np.min(rows)) <= int(np.max(rows)) < len(judged):
        raise InputError(f"rows must lie within the {len(judged)} judged images")
    plan = judged.plan.take(rows)
    received = degrade(data.batch(plan.positions), plan)
    return [
        Example(
            corruption=str(plan.corruptions[i]) or None,
            severity=int(plan.severities[i]) or None,
            truth=int(data.labels[plan.positions[i]]),
            received=_pixels(received[i]),
            restored=restored,
            decision=decision,
        )
        for i, (decision, restored) in enumerate(decided(gatekeeper, received))
    ]


def decided(gatekeeper: Gatekeeper, images: Tensor) -> list[tuple[Decision, IntArray | None]]:
    """Decisions, each with the restored image of the attempt that counts.

    Args:
        gatekeeper: Decides.
        images: Shape (B, 3, H, W), in [0, 1].

    Returns:
        One entry per image; the restored image is uint8, shape (H, W, 3), and None where nothing
        was restored.
    """
    decisions = gatekeeper.decide(images)
    first = gatekeeper.first_look(fit_to(images, gatekeeper.image_size))
    tried = np.flatnonzero(first.plans[:, 0] != "")
    restored: dict[int, IntArray] = {}
    if len(tried):
        second = gatekeeper.second_look(first.take(tried))
        restored = {
            int(row): _pixels(second.images[at])
            for at, row in enumerate(tried)
            if second.column[at] >= 0
        }
    return [(decision, restored.get(row)) for row, decision in enumerate(decisions)]


def telling_rows(fitted: FittedGate, judged: Judged, *, per_kind: int = 3) -> IntArray:
    """Rows worth looking at: rescues, abstentions, clean acceptances and wrong acceptances."""
    replayed = replay(fitted, judged)
    final = final_correct(judged, replayed)
    clean = judged.plan.corruptions == ""
    kinds = (
        replayed.accepted & replayed.keep_restored & ~judged.raw_correct & final,
        ~replayed.accepted & replayed.restored,
        replayed.accepted & clean & final,
        replayed.accepted & ~final,
    )
    return np.concatenate([np.flatnonzero(kind)[:per_kind] for kind in kinds])


def _pixels(image: Tensor) -> IntArray:
    return np.asarray((image * 255).round().byte().permute(1, 2, 0).cpu().numpy())
