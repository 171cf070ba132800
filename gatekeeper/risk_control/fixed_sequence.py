"""Fixed-sequence testing: walk a frozen path, stop at the first failure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatekeeper.metrics.inputs import check_confidence_level
from gatekeeper.risk_control.binomial import (
    binomial_tails,
    checked_counts,
    risk_upper_bound,
    why_not_certified,
)


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
    wrong, accepted = checked_counts(n_wrong, n_accepted)
    return int(np.argmin(binomial_tails(wrong, accepted, target_risk)))


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
    wrong, accepted = checked_counts(n_wrong, n_accepted)
    tails = binomial_tails(wrong, accepted, target_risk)
    failed = tails > 1.0 - level
    n_passed = int(np.argmax(failed)) if failed.any() else len(failed)
    step = max(n_passed - 1, 0)
    reached_wrong, reached_accepted = int(wrong[step]), int(accepted[step])
    reason = None
    if not n_passed:
        reason = why_not_certified(
            reached_wrong,
            reached_accepted,
            target_risk=target_risk,
            confidence_level=level,
            where="at the start of the path",
        )
    return Certification(
        certified=n_passed > 0,
        index=step if n_passed else None,
        n_wrong=reached_wrong,
        n_accepted=reached_accepted,
        tail=float(tails[step]),
        upper_bound=risk_upper_bound(reached_wrong, reached_accepted, level),
        reason=reason,
    )
