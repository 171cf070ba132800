"""What the benchmark ``guarantee`` measures of one fitted gate: redraws, peers, groups, mixes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmarks.guarantee_arrays import AnyArray
from benchmarks.guarantee_draws import (
    Choose,
    Outcomes,
    Walk,
    declared_mix,
    draw_certify_sets,
    group_claims,
    last_passed,
    mean_acceptance,
    of_mix,
    outcomes_at,
    step_tails,
    threshold_outcomes,
)
from benchmarks.guarantee_fits import GateFit
from benchmarks.guarantee_peers import mapie, sgr
from benchmarks.kept import Store
from gatekeeper.calibrators import IsotonicCalibrator
from gatekeeper.corruptions import corruption
from gatekeeper.fitting import certify, certify_groups, path_through
from gatekeeper.gate import Gate
from gatekeeper.judging import Judged
from gatekeeper.risk_control import condition_groups
from gatekeeper.types import BoolArray, FloatArray, IntArray

Row: TypeAlias = dict[str, Any]

LEVELS = (0.9, 0.95, 0.99)
RISKS = (0.02, 0.05, 0.1)

OURS, WITHOUT_RESTORATION, MSP = "ours", "ours, no restoration", "calibrated maximum softmax"
SGR = "SGR"
MAPIE = ("MAPIE, Bonferroni-Holm", "MAPIE, fixed sequence", "MAPIE, fixed sequence on our path")

_CLEAN_SHARES = (0.8, 0.2)
_SLOW_DRAWS = 200
_OWN_FILES = [
    Path(__file__).with_name(f"{name}.py")
    for name in ("guarantee_peers", "guarantee_draws", "guarantee_measures")
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variant:
    """A policy with what froze its path and what it is judged on."""

    calibrate: Judged
    population: Judged
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What was found for one gate.

    Attributes:
        fit: The gate.
        violations: Confidence level -> draws whose certified policy exceeds the target, at the
            recipe's target.
        ours: On every draw, at the recipe's target and level.
        peers: The same of each peer, on all draws or the first of them.
        gain: By how much larger the share of draws is in which each image is accepted by ours than
            by the calibrated maximum softmax, shape (N,).
        rows: Of the table.
    """

    fit: GateFit
    violations: Mapping[float, int]
    ours: Outcomes
    peers: Mapping[str, Outcomes]
    gain: FloatArray
    rows: Sequence[Row]


def mapie_is_there() -> bool:
    """Whether the peer MAPIE is installed."""
    return importlib.util.find_spec("mapie") is not None


def variants(fit: GateFit) -> dict[str, Variant]:
    """Ours, ours without restoration, and the calibrated maximum softmax of the raw answer."""
    raw = fit.calibrate.without_restoration(), fit.test.without_restoration()
    isotonic = IsotonicCalibrator().fit(fit.calibrate.msp, fit.calibrate.raw_correct)
    msp = [replace(judged, raw_reliability=isotonic.reliability(judged.msp)) for judged in raw]
    return {
        OURS: Variant(calibrate=fit.calibrate, population=fit.test, margin=fit.margin),
        WITHOUT_RESTORATION: Variant(calibrate=raw[0], population=raw[1], margin=1.0),
        MSP: Variant(calibrate=msp[0], population=msp[1], margin=1.0),
    }


def walk_of(fit: GateFit, variant: Variant, target_risk: float) -> Walk:
    """The path for a target, frozen on *calibrate*, over the population."""
    policy = fit.recipe.policy.model_copy(update={"target_risk": target_risk})
    path = path_through(variant.calibrate, variant.margin, policy)
    return Walk.of(variant.population, path, variant.margin)


def kept_answers(fit: GateFit) -> tuple[FloatArray, BoolArray]:
    """Reliability of the attempt that the whole policy keeps, and whether it is right, (N,) each.

    At every threshold it accepts the same images as ours; ours answers from the raw attempt where
    that alone meets the threshold, this one from the better attempt.
    """
    gate = Gate(
        accept_raw_at=fit.recipe.policy.doubt_below,
        accept_restored_at=0.0,
        switch_margin=fit.margin,
    )
    replay = gate.replay(fit.test.raw_reliability, fit.test.restored_reliability)
    right = fit.test.final_labels(replay.keep_restored) == fit.test.labels
    return replay.kept_reliability, np.asarray(right)


def measure(fit: GateFit, *, n_draws: int, store: Store) -> Measured:
    """Everything about one gate.

    Args:
        fit: The gate.
        n_draws: Certify sets to draw.
        store: Keeps what the peers certified, which takes minutes.
    """
    policy = fit.recipe.policy
    times = draw_certify_sets(
        len(fit.test), len(fit.certify), n_draws=n_draws, seed=fit.recipe.seed
    )
    rows, steps, walks, violations = [], {}, {}, {}
    for method, variant in variants(fit).items():
        for risk in sorted({*RISKS, policy.target_risk}):
            walk = walk_of(fit, variant, risk)
            tails = step_tails(times, walk, risk)
            for level in LEVELS:
                found = outcomes_at(last_passed(tails, level), walk)
                rows.append(certified_row(fit, method, risk, level, found))
                if method == OURS and risk == policy.target_risk:
                    violations[level] = found.violations(risk)
            if risk == policy.target_risk:
                walks[method] = walk
                steps[method] = last_passed(tails, policy.confidence_level)
    ours = outcomes_at(steps[OURS], walks[OURS])
    peers = peer_outcomes(fit, times, store)
    rows += [
        certified_row(fit, name, policy.target_risk, policy.confidence_level, found)
        for name, found in peers.items()
    ]
    rows += mix_rows(fit, n_draws)
    rows += group_rows(fit, times, walks[OURS], steps[OURS])
    gain = [mean_acceptance(steps[method], walks[method]) for method in (OURS, MSP)]
    return Measured(
        fit=fit,
        violations=violations,
        ours=ours,
        peers=peers,
        gain=gain[0] - gain[1],
        rows=rows,
    )


def certified_row(
    fit: GateFit, method: str, target_risk: float, confidence_level: float, found: Outcomes
) -> Row:
    """What one procedure certified over all draws."""
    return {
        **_identity("certified on redraws", fit),
        "method": method,
        "target_risk": target_risk,
        "confidence_level": confidence_level,
        "draws": len(found.coverage),
        "certified_share": round(float(found.certified.mean()), 4),
        "certified_coverage": round(float(found.coverage.mean()), 5),
        "violations": found.violations(target_risk),
    }


def peer_outcomes(fit: GateFit, times: FloatArray, store: Store) -> dict[str, Outcomes]:
    """What the peers certify on the same draws and the final score, from the disk if kept."""
    choices = _choices(fit)

    def make() -> dict[str, AnyArray]:
        arrays: dict[str, AnyArray] = {}
        score, correct = kept_answers(fit)
        for name, (choose, most) in choices.items():
            found = threshold_outcomes(times[:most], score, correct, choose)
            arrays[f"{name}/certified"] = found.certified
            arrays[f"{name}/coverage"] = found.coverage
            arrays[f"{name}/risk"] = found.risk
        return arrays

    facts = {
        "gate": fit.key,
        "draws": len(times),
        "peers": sorted(choices),
        # The gate's key stands for the code that they import.
        "code": [hashlib.sha256(file.read_bytes()).hexdigest() for file in _OWN_FILES],
        "mapie": importlib.metadata.version("mapie") if mapie_is_there() else None,
    }
    kept = store.arrays("peers", facts, make)
    return {
        name: Outcomes(
            certified=np.asarray(kept[f"{name}/certified"], dtype=np.bool_),
            coverage=kept[f"{name}/coverage"],
            risk=kept[f"{name}/risk"],
        )
        for name in choices
    }


def _choices(fit: GateFit) -> dict[str, tuple[Choose, int | None]]:
    """Name -> how it finds a threshold, and how many draws it is given (None for all)."""
    policy = fit.recipe.policy
    asked = policy.target_risk, policy.confidence_level
    own = np.unique(path_through(fit.calibrate, fit.margin, policy).restored)

    def by_mapie(**options: Any) -> Choose:  # noqa: ANN401  # handed on to the peer
        return lambda scores, correct: mapie(scores, correct, *asked, **options)

    found: dict[str, tuple[Choose, int | None]] = {
        SGR: (lambda scores, correct: sgr(scores, correct, *asked), None)
    }
    if mapie_is_there():
        found[MAPIE[0]] = (by_mapie(method="bonferroni_holm"), None)
        found[MAPIE[1]] = (by_mapie(method="fixed_sequence"), None)
        found[MAPIE[2]] = (by_mapie(method="fixed_sequence", thresholds=own), _SLOW_DRAWS)
    return found


def mix_rows(fit: GateFit, n_draws: int) -> list[Row]:
    """The procedure on traffic with other shares of clean images, all its parts resampled."""
    policy, conditions = fit.recipe.policy, fit.recipe.conditions
    source, risk = declared_mix(conditions), policy.target_risk
    rows = []
    for share in _CLEAN_SHARES:
        target = declared_mix(conditions, share)
        calibrate, certified, test = (
            of_mix(part, source, target) for part in (fit.calibrate, fit.certify, fit.test)
        )
        variant = Variant(calibrate=calibrate, population=test, margin=fit.margin)
        walk = walk_of(fit, variant, risk)
        times = draw_certify_sets(len(test), len(certified), n_draws=n_draws, seed=fit.recipe.seed)
        tails = step_tails(times, walk, risk)
        for level in LEVELS:
            found = outcomes_at(last_passed(tails, level), walk)
            row = certified_row(fit, OURS, risk, level, found)
            row |= {"table": "certified on redraws of another mix", "clean_share": share}
            rows.append({**row, "n_population": len(test), "n_certify": len(certified)})
    return rows


def group_rows(fit: GateFit, times: FloatArray, walk: Walk, steps: IntArray) -> list[Row]:
    """The certificate and its groups on the true certify split, then the claims over all draws."""
    policy = fit.recipe.policy
    _, verdict = certify(fit.calibrate, fit.certify, fit.margin, policy)
    stated = certify_groups(fit.calibrate, fit.certify, fit.margin, policy, verdict)
    rows: list[Row] = [
        {
            **_identity("certificate", fit),
            "group": "all",
            "certified": verdict.certified,
            "n_images": len(fit.certify),
            "n_accepted": verdict.n_accepted,
            "n_wrong": verdict.n_wrong,
            "upper_bound": round(verdict.upper_bound, 5),
        }
    ]
    rows += [
        {
            **_identity("certificate", fit),
            "group": group.name,
            "certified": group.certified,
            "n_images": group.n_images,
            "n_accepted": group.n_accepted,
            "n_wrong": group.n_wrong,
            "upper_bound": round(group.upper_bound, 5),
        }
        for group in stated
    ]
    families = [corruption(n).families if n else () for n in fit.test.plan.corruptions.tolist()]
    claims = group_claims(
        times,
        walk,
        condition_groups(families, fit.test.plan.severities),
        steps,
        target_risk=policy.target_risk,
        confidence_level=policy.confidence_level,
    )
    claimed = {
        **_identity("group claims on redraws", fit),
        "target_risk": policy.target_risk,
        "confidence_level": policy.confidence_level,
        "draws": len(times),
    }
    rows.append({**claimed, "group": "any", "violations": claims.n_violated})
    rows += [
        {
            **claimed,
            "group": name,
            "certified_share": round(float(claims.certified[:, column].mean()), 4),
            "violations": int(claims.violated[:, column].sum()),
        }
        for column, name in enumerate(claims.names)
    ]
    return rows


def _identity(table: str, fit: GateFit) -> Row:
    return {"table": table, "classifier": fit.recipe.name, "seed": fit.recipe.seed}
