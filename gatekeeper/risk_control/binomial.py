"""Exact binomial arithmetic on counts of accepted and wrong answers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import check_confidence_level, count_array
from gatekeeper.metrics.proportions import exact_upper_bound
from gatekeeper.types import FloatArray, IntArray


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
    wrong, accepted = checked_counts([n_wrong], [n_accepted])
    return float(binomial_tails(wrong, accepted, target_risk)[0])


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
    checked_counts([n_wrong], [n_accepted])
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
    check_target_risk(target_risk)
    level = 1.0 - check_confidence_level(confidence_level)
    n = max(1, math.floor(math.log(level) / math.log1p(-target_risk)))
    # The logarithms round, the test itself decides; it is off by at most a step.
    while binomial_tail(0, n, target_risk) > level:
        n += 1
    return n


def why_not_certified(
    n_wrong: int, n_accepted: int, *, target_risk: float, confidence_level: float, where: str
) -> str:
    """The sentence that says why counts do not certify, and what to do.

    Args:
        n_wrong: Wrong answers among the accepted.
        n_accepted: Accepted answers.
        target_risk: In (0, 1).
        confidence_level: Level of this one test, in (0, 1).
        where: What was tested, such as "at the start of the path".

    Raises:
        InputError: the counts, the target or the level are outside their ranges.
    """
    needed = min_accepted_to_certify(target_risk, confidence_level)
    if n_accepted < needed:
        why = (
            f"too few accepted images {where}: {n_accepted}, but a target risk of "
            f"{target_risk:g} at confidence level {confidence_level:g} needs at least {needed} "
            "even if none is wrong; certify on more images or raise the target risk"
        )
    elif n_wrong <= target_risk * n_accepted:
        bound = risk_upper_bound(n_wrong, n_accepted, confidence_level)
        why = (
            f"too little evidence {where}: {n_wrong} wrong of {n_accepted} accepted bounds the "
            f"risk by {bound:.4f} only, above the target risk {target_risk:g}; "
            "certify on more images or raise the target risk"
        )
    else:
        why = (
            f"the risk is too high {where}: {n_wrong} wrong of {n_accepted} accepted is "
            f"{n_wrong / n_accepted:.4f}, above the target risk {target_risk:g}; "
            "raise the target risk or improve the classifier or the reliability predictor"
        )
    return f"Cannot certify: {why}."


def binomial_tails(wrong: IntArray, accepted: IntArray, target_risk: float) -> FloatArray:
    """:func:`binomial_tail` of checked counts, step by step.

    Args:
        wrong: Shape (M,), from :func:`checked_counts`.
        accepted: Shape (M,), likewise.
        target_risk: In (0, 1).

    Returns:
        Shape (M,), in [0, 1].

    Raises:
        InputError: the target is outside its range.
    """
    check_target_risk(target_risk)
    return np.asarray(special.bdtr(wrong.astype(np.float64), accepted, target_risk))


def check_target_risk(target_risk: float) -> None:
    """Refuse a target at which nothing or everything could be certified.

    Raises:
        InputError: the target is outside (0, 1).
    """
    if not 0.0 < target_risk < 1.0:
        raise InputError(f"target_risk must lie strictly between 0 and 1, got {target_risk}")


def checked_counts(n_wrong: npt.ArrayLike, n_accepted: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Both counts as integers.

    Args:
        n_wrong: Shape (M,), wrong answers among the accepted.
        n_accepted: Shape (M,), accepted answers.

    Returns:
        Both, shape (M,), int64.

    Raises:
        InputError: they are not counts, shapes differ, or more are wrong than accepted.
    """
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
