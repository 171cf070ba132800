"""Certify sets drawn again and again from a population, and what procedures certify on them.

The judged images are the population: what holds on all of them is the truth. A procedure that
promises a confidence level is right if the policies that it certifies exceed the target risk *on
the population* in no larger a share of the draws than the level leaves. Draws are with replacement,
so their rows are independent and identically distributed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmarks.redraws import Ends
from gatekeeper.judging import Judged
from gatekeeper.recipe import ConditionsRecipe
from gatekeeper.risk_control import ThresholdPath, resample_to_mix
from gatekeeper.risk_control.binomial import binomial_tails
from gatekeeper.types import BoolArray, FloatArray, IntArray

Choose = Callable[[FloatArray, BoolArray], float | None]
"""(scores, correct) of one draw -> the threshold from which answers are accepted, or None."""

_NONE = -1
_RESAMPLES = 1000


def draw_certify_sets(n_population: int, n_certify: int, *, n_draws: int, seed: int) -> FloatArray:
    """How often each image of a population occurs in each certify set.

    Args:
        n_population: N, at least 1.
        n_certify: Rows per certify set, drawn with replacement.
        n_draws: R.
        seed: Of the draws.

    Returns:
        Shape (R, N), whole numbers, each row sums to ``n_certify``; float32, in which sums of
        fewer than 2²⁴ rows are exact.
    """
    rng = np.random.default_rng([seed, 0x64726177])
    drawn = (rng.integers(n_population, size=n_certify) for _ in range(n_draws))
    return np.stack([np.bincount(rows, minlength=n_population) for rows in drawn]).astype(
        np.float32
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """A frozen path over a population: N images, M steps.

    Attributes:
        accepted: Whether each image is accepted at each step, shape (N, M).
        wrong: Whether it is accepted and its final label wrong, shape (N, M).
    """

    accepted: BoolArray
    wrong: BoolArray

    @classmethod
    def of(cls, judged: Judged, path: ThresholdPath, margin: float) -> Self:
        """Replay the policy at every step of a path."""
        accepted, wrong = judged.steps(path, margin)
        return cls(accepted=accepted, wrong=accepted & wrong)

    @property
    def coverage(self) -> FloatArray:
        """Share of the population that is accepted at each step, shape (M,)."""
        return np.asarray(self.accepted.mean(axis=0))

    @property
    def risk(self) -> FloatArray:
        """Selective risk on the population at each step, (M,); 0 where nothing is accepted."""
        return np.asarray(self.wrong.sum(axis=0) / np.maximum(self.accepted.sum(axis=0), 1))

    def take(self, rows: BoolArray) -> Walk:
        """The same path over some of the images."""
        return Walk(accepted=self.accepted[rows], wrong=self.wrong[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """What a procedure certified on each of R draws, judged on the whole population.

    Attributes:
        certified: Whether it certified anything, shape (R,).
        coverage: Share of the population that the certified policy accepts, shape (R,); 0 where
            nothing was certified.
        risk: That policy's selective risk on the population, shape (R,); 0 likewise.
    """

    certified: BoolArray
    coverage: FloatArray
    risk: FloatArray

    def violations(self, target_risk: float) -> int:
        """Draws whose certified policy exceeds the target; "cannot certify" breaks no promise."""
        return int(np.count_nonzero(self.certified & (self.risk > target_risk)))

    def first(self, n_draws: int) -> Outcomes:
        """Those of the first so many draws."""
        return Outcomes(
            certified=self.certified[:n_draws],
            coverage=self.coverage[:n_draws],
            risk=self.risk[:n_draws],
        )


def step_tails(times: FloatArray, walk: Walk, target_risk: float) -> FloatArray:
    """Exact binomial tail of every draw at every step, shape (R, M).

    Args:
        times: Shape (R, N), from :func:`draw_certify_sets`.
        walk: Over the N images.
        target_risk: In (0, 1).
    """
    accepted = (times @ walk.accepted.astype(np.float32)).astype(np.int64)
    wrong = (times @ walk.wrong.astype(np.float32)).astype(np.int64)
    return binomial_tails(wrong.ravel(), accepted.ravel(), target_risk).reshape(accepted.shape)


def last_passed(tails: FloatArray, confidence_level: float) -> IntArray:
    """The step at which each draw's walk ends: the last before its first failure.

    Args:
        tails: Shape (R, M), from :func:`step_tails`.
        confidence_level: In (0, 1).

    Returns:
        Shape (R,); −1 where the first step already fails. Row by row what
        :func:`gatekeeper.risk_control.fixed_sequence_test` finds.
    """
    failed = tails > 1.0 - confidence_level
    first = np.where(failed.any(axis=1), np.argmax(failed, axis=1), tails.shape[1])
    return np.asarray(first - 1)


def outcomes_at(steps: IntArray, walk: Walk) -> Outcomes:
    """Judge the steps that draws ended at, shape (R,), on the population."""
    certified = steps != _NONE
    # −1 points at the last step; the mask takes that back.
    return Outcomes(
        certified=certified,
        coverage=np.where(certified, walk.coverage[steps], 0.0),
        risk=np.where(certified, walk.risk[steps], 0.0),
    )


def mean_acceptance(steps: IntArray, walk: Walk) -> FloatArray:
    """Share of the draws whose certified policy accepts each image, shape (N,)."""
    counts = np.bincount(steps[steps != _NONE], minlength=walk.accepted.shape[1])
    return walk.accepted @ (counts / len(steps))


def threshold_outcomes(
    times: FloatArray, scores: FloatArray, correct: BoolArray, choose: Choose
) -> Outcomes:
    """A procedure that thresholds one score, on every draw.

    Args:
        times: Shape (R, N), from :func:`draw_certify_sets`.
        scores: Of the population, shape (N,).
        correct: Whether each answer is right, shape (N,).
        choose: Finds the threshold, or None, from the rows of a draw.
    """
    certified = np.zeros(len(times), dtype=bool)
    coverage, risk = np.zeros(len(times)), np.zeros(len(times))
    for draw, counts in enumerate(times.astype(np.int64)):
        rows = np.repeat(np.arange(len(scores)), counts)
        threshold = choose(scores[rows], correct[rows])
        if threshold is not None:
            accepted = scores >= threshold
            certified[draw], coverage[draw] = True, accepted.mean()
            risk[draw] = np.count_nonzero(accepted & ~correct) / max(int(accepted.sum()), 1)
    return Outcomes(certified=certified, coverage=coverage, risk=risk)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupClaims:
    """What each of R draws claims about G groups of conditions.

    Attributes:
        names: The groups.
        certified: Shape (R, G).
        violated: Certified although the group's risk on the population exceeds the target, (R, G).
    """

    names: tuple[str, ...]
    certified: BoolArray
    violated: BoolArray

    @property
    def n_violated(self) -> int:
        """Draws with at least one false statement: what the level bounds."""
        return int(np.count_nonzero(self.violated.any(axis=1)))


def group_claims(
    times: FloatArray,
    walk: Walk,
    groups: Mapping[str, BoolArray],
    steps: IntArray,
    *,
    target_risk: float,
    confidence_level: float,
) -> GroupClaims:
    """Group certificates on every draw, as ``gatekeeper.risk_control.group_certificates``.

    Args:
        times: Shape (R, N).
        walk: Over the N images.
        groups: Name -> which images are in it, shape (N,).
        steps: Where each draw's walk ended, shape (R,), −1 for nowhere.
        target_risk: In (0, 1).
        confidence_level: Of the claim as a whole, in (0, 1).
    """
    p_values, too_risky = [], []
    for mask in groups.values():
        own = walk.take(mask)
        worst = np.maximum.accumulate(step_tails(times[:, mask], own, target_risk), axis=1)
        p_values.append(worst[np.arange(len(steps)), steps])
        too_risky.append(own.risk[steps] > target_risk)
    p = np.stack(p_values, axis=1)
    adjusted = p * len(groups)
    certified = (adjusted <= 1.0 - confidence_level) & (steps != _NONE)[:, None]
    return GroupClaims(
        names=tuple(groups),
        certified=certified,
        violated=certified & np.stack(too_risky, axis=1),
    )


def declared_mix(
    conditions: ConditionsRecipe, clean_share: float | None = None
) -> dict[str, float]:
    """Condition ("" for clean) -> its share, as declared or with another share of clean images."""
    clean = conditions.clean_share if clean_share is None else clean_share
    each = (1.0 - clean) / len(conditions.seen)
    return {"": clean, **dict.fromkeys(conditions.seen, each)}


def of_mix(judged: Judged, source: Mapping[str, float], target: Mapping[str, float]) -> Judged:
    """The rows of a stream that are a stream of another mix, by rejection."""
    rows = resample_to_mix(judged.plan.corruptions, source, target, judged.plan.seeds)
    return judged.take(rows)


def mean_ends_over_draws(differences: Sequence[FloatArray]) -> Ends:
    """Mean over fits and draws, with the percentile interval of redrawn draws at 95 %.

    Args:
        differences: One array of shape (R,) per fit; lengths may differ.
    """
    rng = np.random.default_rng(0)
    means = np.zeros(_RESAMPLES)
    for fit in differences:
        rows = rng.integers(len(fit), size=(_RESAMPLES, len(fit)))
        means += fit[rows].mean(axis=1) / len(differences)
    low, high = np.quantile(means, [0.025, 0.975])
    value = float(np.mean([fit.mean() for fit in differences]))
    return Ends(value=value, low=float(low), high=float(high))
