"""Thresholds with a stated guarantee, or "cannot certify".

A path of thresholds is frozen on *calibrate*. On *certify*, which nothing else has read, each step
along it is tested for "selective risk above the target" with the exact binomial tail; the walk
stops at the first step that is not refuted. The last refuted step is certified: in at most
1 - confidence_level of all certify samples is its true risk above the target.

The counts must come from independent images, one row per image: corrupted copies of one image are
dependent and break the binomial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import special

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import check_confidence_level, count_array
from gatekeeper.metrics.selective import exact_upper_bound
from gatekeeper.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ThresholdPath:
    """Both thresholds of the policy, step by step, in testing order: strict to lenient.

    Attributes:
        raw: Shape (M,), reliability from which a raw answer is accepted, never increasing.
        restored: Shape (M,), reliability from which an answer kept after restoration was tried
            is accepted, never increasing. A threshold above 1 accepts nothing.

    Raises:
        InputError: shapes differ, M is 0, or a threshold is negative, NaN or rises along the path.
    """

    raw: FloatArray
    restored: FloatArray

    def __post_init__(self) -> None:
        """Check, copy and lock both arrays."""
        for name in ("raw", "restored"):
            object.__setattr__(self, name, _falling(getattr(self, name), name=name))
        if self.raw.shape != self.restored.shape:
            raise InputError(
                f"a path needs as many raw as restored thresholds, got {len(self.raw)} and "
                f"{len(self.restored)}"
            )

    def __len__(self) -> int:
        """Number of steps M."""
        return len(self.raw)

    def starting_at(self, index: int) -> Self:
        """The path without its first ``index`` steps.

        Args:
            index: In 0…M-1, for example from :func:`starting_point`.

        Raises:
            InputError: the index is outside the path.
        """
        if not 0 <= index < len(self):
            raise InputError(f"expected a step in 0…{len(self) - 1}, got {index}")
        return type(self)(raw=self.raw[index:], restored=self.restored[index:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Certification:
    """The outcome of a fixed-sequence test.

    The numbers are those of the certified step; where nothing can be certified, those of the
    first step, at which the test ended.

    Attributes:
        certified: Whether any step of the path is certified.
        index: The certified step, None where there is none.
        n_wrong: Wrong answers among the accepted.
        n_accepted: Accepted answers.
        tail: Exact p-value of "the risk is above the target", in [0, 1].
        upper_bound: Exact one-sided upper bound of the selective risk, in [0, 1].
        reason: Why it cannot certify, as a sentence; None where it is certified.
    """

    certified: bool
    index: int | None
    n_wrong: int
    n_accepted: int
    tail: float
    upper_bound: float
    reason: str | None


def binomial_tail(n_wrong: int, n_accepted: int, target_risk: float) -> float:
    """P(Bin(n_accepted, target_risk) <= n_wrong): the p-value of "the risk is above the target".

    Args:
        n_wrong: Wrong answers among the accepted, 0…n_accepted.
        n_accepted: Accepted answers, one per image.
        target_risk: In (0, 1).

    Returns:
        In [0, 1], lower is stronger evidence that the risk is at or below the target; 1 where
        nothing was accepted.

    Raises:
        InputError: the counts or the target are outside their ranges.

    Example:
        >>> round(binomial_tail(0, 59, 0.05), 4)
        0.0485
    """
    wrong, accepted = _counts([n_wrong], [n_accepted])
    return float(_tails(wrong, accepted, target_risk)[0])


def risk_upper_bound(n_wrong: int, n_accepted: int, confidence_level: float = 0.95) -> float:
    """Exact one-sided upper bound of the selective risk.

    Args:
        n_wrong: Wrong answers among the accepted, 0…n_accepted.
        n_accepted: Accepted answers, one per image.
        confidence_level: In (0, 1).

    Returns:
        In [0, 1]; 1 where nothing was accepted. It is at most the target risk exactly where the
        binomial tail at the target is at most 1 - confidence_level.

    Raises:
        InputError: the counts or the level are outside their ranges.

    Source:
        Clopper & Pearson 1934.
    """
    check_confidence_level(confidence_level)
    _counts([n_wrong], [n_accepted])
    return exact_upper_bound(n_wrong, n_accepted, confidence_level) if n_accepted else 1.0


def min_accepted_to_certify(target_risk: float, confidence_level: float) -> int:
    """Smallest number of accepted answers that can certify, if none of them is wrong.

    Args:
        target_risk: In (0, 1).
        confidence_level: In (0, 1).

    Returns:
        The smallest n with (1 - target_risk)^n <= 1 - confidence_level.

    Raises:
        InputError: an argument is outside its range.

    Example:
        >>> min_accepted_to_certify(0.05, 0.95)
        59
    """
    _check_target(target_risk)
    level = 1.0 - check_confidence_level(confidence_level)
    n = max(1, math.floor(math.log(level) / math.log1p(-target_risk)))
    # The logarithms round, the test itself decides; it is off by at most a step.
    while binomial_tail(0, n, target_risk) > level:
        n += 1
    return n


def starting_point(n_wrong: npt.ArrayLike, n_accepted: npt.ArrayLike, target_risk: float) -> int:
    """The step at which testing should start: the one that is safest on *calibrate*.

    Args:
        n_wrong: Shape (M,), wrong answers among the accepted at each step, counted on *calibrate*.
        n_accepted: Shape (M,), accepted answers at each step.
        target_risk: In (0, 1).

    Returns:
        Index of the smallest binomial tail, the first (strictest) of equal ones. Counted on
        *certify* instead it would void the guarantee.

    Raises:
        InputError: the counts or the target are outside their ranges, or shapes differ.
    """
    wrong, accepted = _counts(n_wrong, n_accepted)
    return int(np.argmin(_tails(wrong, accepted, target_risk)))


def fixed_sequence_test(
    n_wrong: npt.ArrayLike,
    n_accepted: npt.ArrayLike,
    *,
    target_risk: float,
    confidence_level: float,
) -> Certification:
    """Walk a frozen path and certify the last step before the first failure.

    Args:
        n_wrong: Shape (M,), wrong answers among the accepted at each step, counted on *certify*,
            in testing order; the path and its first step were frozen beforehand.
        n_accepted: Shape (M,), accepted answers at each step, one per image.
        target_risk: Selective risk to stay at or below, in (0, 1).
        confidence_level: Probability that a certified step does, in (0, 1).

    Returns:
        The certified step, or why there is none. Later steps that would pass again after a
        failure are never looked at: that is what the guarantee rests on.

    Raises:
        InputError: the counts, the target or the level are outside their ranges, or shapes differ.

    Source:
        Angelopoulos et al. 2021, "Learn then test", fixed-sequence testing (arXiv:2110.01052),
        with the exact binomial tail as p-value.
    """
    level = check_confidence_level(confidence_level)
    wrong, accepted = _counts(n_wrong, n_accepted)
    tails = _tails(wrong, accepted, target_risk)
    failed = tails > 1.0 - level
    n_passed = int(np.argmax(failed)) if failed.any() else len(failed)
    step = max(n_passed - 1, 0)
    outcome = Certification(
        certified=n_passed > 0,
        index=step if n_passed else None,
        n_wrong=int(wrong[step]),
        n_accepted=int(accepted[step]),
        tail=float(tails[step]),
        upper_bound=risk_upper_bound(int(wrong[step]), int(accepted[step]), level),
        reason=None,
    )
    return outcome if n_passed else _explained(outcome, target_risk, level)


def holm(p_values: npt.ArrayLike, confidence_level: float) -> BoolArray:
    """Which of several hypotheses are refuted together, so that all hold at the level.

    For certificates that are issued as one claim, such as one per group of conditions.

    Args:
        p_values: Shape (M,), in [0, 1], dependent or not.
        confidence_level: Probability that no true hypothesis is refuted, in (0, 1).

    Returns:
        Shape (M,), True where the hypothesis is refuted.

    Raises:
        InputError: M is 0, or a p-value or the level is outside its range.

    Example:
        >>> holm([0.01, 0.04, 0.03], 0.95).tolist()
        [True, False, False]

    Source:
        Holm 1979.
    """
    level = 1.0 - check_confidence_level(confidence_level)
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or len(p) == 0 or not np.all((p >= 0.0) & (p <= 1.0)):
        raise InputError(f"p_values must have shape (M,) and lie in [0, 1], got {p_values!r}")
    order = np.argsort(p, kind="stable")
    passes = p[order] <= level / np.arange(len(p), 0, -1)
    refuted = np.zeros(len(p), dtype=np.bool_)
    refuted[order] = np.logical_and.accumulate(passes)
    return refuted


def _explained(
    outcome: Certification, target_risk: float, confidence_level: float
) -> Certification:
    """The failed outcome with the sentence that says why and what to do."""
    k, n = outcome.n_wrong, outcome.n_accepted
    needed = min_accepted_to_certify(target_risk, confidence_level)
    if n < needed:
        why = (
            f"too few accepted images at the start of the path: {n}, but a target risk of "
            f"{target_risk:g} at confidence level {confidence_level:g} needs at least {needed} "
            "even if none is wrong; certify on more images or raise the target risk"
        )
    elif k <= target_risk * n:
        why = (
            f"too little evidence at the start of the path: {k} wrong of {n} accepted bounds the "
            f"risk by {outcome.upper_bound:.4f} only, above the target risk {target_risk:g}; "
            "certify on more images or raise the target risk"
        )
    else:
        why = (
            f"the risk is too high at the start of the path: {k} wrong of {n} accepted is "
            f"{k / n:.4f}, above the target risk {target_risk:g}; "
            "raise the target risk or improve the classifier or the reliability predictor"
        )
    return Certification(
        certified=False,
        index=None,
        n_wrong=k,
        n_accepted=n,
        tail=outcome.tail,
        upper_bound=outcome.upper_bound,
        reason=f"Cannot certify: {why}.",
    )


def _tails(wrong: IntArray, accepted: IntArray, target_risk: float) -> FloatArray:
    """Binomial tails of checked counts, (M,)."""
    _check_target(target_risk)
    return np.asarray(special.bdtr(wrong.astype(np.float64), accepted, target_risk))


def _check_target(target_risk: float) -> None:
    """Refuse a target at which nothing or everything could be certified."""
    if not 0.0 < target_risk < 1.0:
        raise InputError(f"target_risk must lie strictly between 0 and 1, got {target_risk}")


def _counts(n_wrong: npt.ArrayLike, n_accepted: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Both counts, (M,), refused where more are wrong than accepted."""
    wrong = count_array(n_wrong, name="n_wrong")
    accepted = count_array(n_accepted, name="n_accepted")
    if wrong.shape != accepted.shape:
        raise InputError(
            f"n_wrong and n_accepted must have one value per step, got {len(wrong)} and "
            f"{len(accepted)}"
        )
    if np.any(wrong > accepted):
        step = int(np.argmax(wrong > accepted))
        raise InputError(
            f"n_wrong counts wrong answers among the accepted, got {wrong[step]} wrong of "
            f"{accepted[step]} accepted at step {step}"
        )
    return wrong, accepted


def _falling(thresholds: npt.ArrayLike, *, name: str) -> FloatArray:
    """A locked copy of thresholds that never rise."""
    values = np.array(thresholds, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"{name} must have shape (M,) with M at least 1, got {values.shape}")
    if not np.all(values >= 0.0):
        raise InputError(f"{name} thresholds must be at least 0, got {values.min():g}")
    if np.any(values[1:] > values[:-1]):
        step = int(np.argmax(values[1:] > values[:-1])) + 1
        raise InputError(
            f"{name} thresholds must go from strict to lenient, got a rise from "
            f"{values[step - 1]:g} to {values[step]:g} at step {step}"
        )
    values.flags.writeable = False
    return values
