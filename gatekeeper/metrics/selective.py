"""How well scores tell right answers from wrong ones.

Conventions: higher scores are more reliable; a threshold accepts on >=, so answers with equal
scores are always accepted or handed over together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import special

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import (
    check_confidence_level,
    check_share,
    correct_array,
    score_array,
)
from gatekeeper.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RiskCoverageCurve:
    """What each threshold would have accepted and how often that was wrong, with hindsight.

    One point per distinct score, from the strictest threshold to accepting everything.

    Attributes:
        coverage: Shape (M,), share accepted, strictly increasing, the last is 1.
        selective_risk: Shape (M,), errors among the accepted, in [0, 1].
        threshold: Shape (M,), the distinct scores, strictly decreasing; accepts on >=.
    """

    coverage: FloatArray
    selective_risk: FloatArray
    threshold: FloatArray

    @classmethod
    def from_scores(cls, scores: npt.ArrayLike, correct: npt.ArrayLike) -> Self:
        """The curve of a sample.

        Args:
            scores: Shape (N,), finite, higher is more reliable.
            correct: Whether each answer was right, boolean, shape (N,).

        Raises:
            InputError: shapes differ, N is 0, a score is not finite, or correct is not boolean.

        Example:
            >>> correct = [True, True, False, True]
            >>> curve = RiskCoverageCurve.from_scores([0.9, 0.5, 0.5, 0.1], correct)
            >>> curve.coverage.tolist(), curve.threshold.tolist()
            ([0.25, 0.75, 1.0], [0.9, 0.5, 0.1])
        """
        values, right = _scores_and_correct(scores, correct)
        threshold, accepted, wrong = _cumulative_counts(values, right)
        return cls(
            coverage=accepted / len(values), selective_risk=wrong / accepted, threshold=threshold
        )

    def coverage_at_risk(self, max_risk: float) -> float:
        """Largest coverage whose selective risk is at most ``max_risk``.

        A metric, not a promise: the threshold is chosen on the very sample that judges it.

        Args:
            max_risk: In [0, 1].

        Returns:
            In [0, 1], higher is better; 0.0 where no threshold reaches the risk.

        Raises:
            InputError: ``max_risk`` is outside [0, 1].
        """
        check_share(max_risk, name="max_risk")
        reached = self.coverage[self.selective_risk <= max_risk]
        return float(reached[-1]) if len(reached) else 0.0

    def aurc(self) -> float:
        """Area under the curve; see :func:`aurc`."""
        # An increase of coverage is N_g / N: the share of the tie group that enters at this point.
        return float(np.sum(np.diff(self.coverage, prepend=0.0) * self.selective_risk))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference with a one-sided bound on either side.

    Attributes:
        value: The estimate, a minus b.
        low: The true difference is above this with the confidence level (one-sided).
        high: The true difference is below this with the confidence level (one-sided).
    """

    value: float
    low: float
    high: float


def aurc(scores: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Mean selective risk over coverage, ties together.

    (1/N) Σ_i R(s_i), where R(t) is the selective risk of all answers with score >= t: each answer
    carries the risk of the strictest threshold that accepts it. The value does not depend on the
    order of the rows. Where scores tie it is not the average over random orders of the tied rows:
    a threshold cannot split a tie, so the risk in the middle of one is never anybody's risk.

    Args:
        scores: Shape (N,), finite, higher is more reliable.
        correct: Whether each answer was right, boolean, shape (N,).

    Returns:
        In [0, 1], lower is better; the error rate for an uninformative score, 0 if all are right.

    Raises:
        InputError: shapes differ, N is 0, a score is not finite, or correct is not boolean.

    Example:
        >>> round(aurc([0.9, 0.8, 0.7], [True, False, True]), 4)
        0.2778

    Source:
        Geifman et al. 2019 (arXiv:1805.08206). Deviates in ties, which stay together.
    """
    return RiskCoverageCurve.from_scores(scores, correct).aurc()


def e_aurc(scores: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """AURC minus that of an oracle that ranks every right answer above every wrong one.

    The oracle is the exact one of this N and this number of errors, without ties, not the limit
    e + (1 - e) ln(1 - e).

    Args:
        scores: Shape (N,), finite, higher is more reliable.
        correct: Whether each answer was right, boolean, shape (N,).

    Returns:
        In [0, 1], lower is better; 0 for a perfect ranking, and where all are right. Where all
        are wrong it is 0 too: there is nothing to rank.

    Raises:
        InputError: shapes differ, N is 0, a score is not finite, or correct is not boolean.

    Source:
        Geifman et al. 2019 (arXiv:1805.08206). Deviates in the exact oracle.
    """
    values, right = _scores_and_correct(scores, correct)
    accepted = np.arange(1, len(values) + 1)
    oracle = np.mean(np.maximum(accepted - np.count_nonzero(right), 0) / accepted)
    excess = RiskCoverageCurve.from_scores(values, right).aurc() - float(oracle)
    return max(0.0, excess)  # no ranking beats the oracle; below 0 is a rounding error


def augrc(scores: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Area under generalized risk (accepted errors ÷ all) over coverage.

    Trapezoids between the points of distinct scores, from (0, 0). With ties this is the average
    over random orders of the tied rows, and (1 - failure AUROC) e (1 - e) + e²/2 holds exactly,
    e being the error rate.

    Args:
        scores: Shape (N,), finite, higher is more reliable.
        correct: Whether each answer was right, boolean, shape (N,).

    Returns:
        In [0, 0.5], lower is better; e²/2 for a perfect ranking, e/2 for an uninformative score.

    Raises:
        InputError: shapes differ, N is 0, a score is not finite, or correct is not boolean.

    Source:
        Traub et al. 2024 (arXiv:2407.01032).
    """
    values, right = _scores_and_correct(scores, correct)
    _, accepted, wrong = _cumulative_counts(values, right)
    heights = wrong + np.concatenate([[0], wrong[:-1]])
    return float(np.sum(np.diff(accepted, prepend=0) * heights) / (2.0 * len(values) ** 2))


def failure_auroc(scores: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Probability that a right answer scores above a wrong one; a tie counts half.

    Args:
        scores: Shape (N,), finite, higher is more reliable.
        correct: Whether each answer was right, boolean, shape (N,).

    Returns:
        In [0, 1], higher is better; 0.5 for an uninformative score.

    Raises:
        InputError: shapes differ, N is 0, a score is not finite, correct is not boolean, or all
            answers are right or all wrong (then there is nothing to tell apart).

    Example:
        >>> failure_auroc([0.9, 0.5, 0.5], [True, True, False])
        0.75
    """
    values, right = _scores_and_correct(scores, correct)
    _require_both(right)
    wrong_below, _ = _placements(values, right)
    return float(np.mean(wrong_below))


def fpr_at_95_tpr(scores: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Share of wrong answers accepted by the strictest threshold that keeps 95 % of the right ones.

    Args:
        scores: Shape (N,), finite, higher is more reliable.
        correct: Whether each answer was right, boolean, shape (N,).

    Returns:
        In [0, 1], lower is better.

    Raises:
        InputError: as :func:`failure_auroc`.
    """
    values, right = _scores_and_correct(scores, correct)
    _require_both(right)
    _, accepted, wrong = _cumulative_counts(values, right)
    # Whole numbers: 0.95 * n would miss the exact case (19 of 20) by a rounding error.
    keeps = 20 * (accepted - wrong) >= 19 * np.count_nonzero(right)
    return float(wrong[np.argmax(keeps)] / np.count_nonzero(~right))


def ideal_coverage(error: float, target_risk: float) -> float:
    """Largest coverage that a perfect ranking allows: min(1, (1 - e) / (1 - r)).

    Args:
        error: Error rate of the final answers if nothing abstained, in [0, 1].
        target_risk: Selective risk allowed, in [0, 1).

    Returns:
        In [0, 1].

    Raises:
        InputError: an argument is outside its range.

    Example:
        >>> round(ideal_coverage(0.12, 0.01), 3)
        0.889
    """
    check_share(error, name="error")
    check_share(target_risk, name="target_risk")
    if target_risk == 1.0:
        raise InputError("target_risk must be below 1, got 1: every answer would be acceptable")
    return min(1.0, (1.0 - error) / (1.0 - target_risk))


def failure_auroc_difference(
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    confidence_level: float = 0.95,
) -> Difference:
    """Failure AUROC of a minus that of b on the same answers, with paired one-sided bounds.

    ``low`` and ``high`` are each ONE-SIDED: "a is not worse than b by 0.01" is shown at the
    level by ``low > -0.01``; together they make an interval of level 2 · confidence_level - 1.
    Rows must be independent: one per image.

    Args:
        scores_a: Shape (N,), finite, higher is more reliable.
        scores_b: Shape (N,), finite, higher is more reliable, of the same answers.
        correct: Whether each answer was right, boolean, shape (N,).
        confidence_level: One-sided level of each bound, in (0, 1).

    Returns:
        The difference and its bounds, all in [-1, 1]. The bounds are normal approximations: where
        both rankings are perfect or equal the variance, and with it their width, is 0.

    Raises:
        InputError: shapes differ, a score is not finite, correct is not boolean, the level is
            outside (0, 1), or fewer than two answers are right or fewer than two are wrong.

    Source:
        DeLong et al. 1988; O(N log N) by midranks after Sun & Xu 2014.
    """
    check_confidence_level(confidence_level)
    a, right = _scores_and_correct(scores_a, correct)
    b = _scores_and_correct(scores_b, right)[0]
    n_right, n_wrong = int(np.count_nonzero(right)), int(np.count_nonzero(~right))
    if min(n_right, n_wrong) < 2:
        raise InputError(
            "a paired difference needs at least two right and two wrong answers, "
            f"got {n_right} right and {n_wrong} wrong"
        )
    right_a, wrong_a = _placements(a, right)
    right_b, wrong_b = _placements(b, right)
    value = float(np.mean(right_a) - np.mean(right_b))
    variance = (
        np.var(right_a - right_b, ddof=1) / n_right + np.var(wrong_a - wrong_b, ddof=1) / n_wrong
    )
    reach = float(special.ndtri(confidence_level) * np.sqrt(variance))
    return Difference(value=value, low=max(-1.0, value - reach), high=min(1.0, value + reach))


def _scores_and_correct(
    scores: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Both arguments, checked and lined up."""
    values = score_array(scores)
    return values, correct_array(correct, n=len(values))


def _require_both(right: BoolArray) -> None:
    """Refuse a sample in which there is nothing to tell apart."""
    if right.all() or not right.any():
        kind = "right" if right.any() else "wrong"
        raise InputError(
            f"expected right and wrong answers, got {len(right)} that are all {kind}; "
            "right and wrong cannot be told apart here, so skip this metric for this sample"
        )


def _cumulative_counts(
    values: FloatArray, right: BoolArray
) -> tuple[FloatArray, IntArray, IntArray]:
    """Distinct scores from high to low (M,), and how many each accepts and gets wrong (M,)."""
    threshold, group = np.unique(-values, return_inverse=True)
    accepted = np.cumsum(np.bincount(group, minlength=len(threshold)))
    wrong = np.cumsum(np.bincount(group[~right], minlength=len(threshold)))
    return -threshold, accepted, wrong


def _midranks(values: FloatArray) -> FloatArray:
    """Ranks from 1 to N in which tied values share their mean rank."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    ranks: FloatArray = (np.cumsum(size) - (size - 1) / 2.0)[group]
    return ranks


def _placements(values: FloatArray, right: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Per right answer the share of wrong ones below it, per wrong one that of right ones above."""
    ranks = _midranks(values)
    n_right, n_wrong = np.count_nonzero(right), np.count_nonzero(~right)
    wrong_below = (ranks[right] - _midranks(values[right])) / n_wrong
    right_above = 1.0 - (ranks[~right] - _midranks(values[~right])) / n_right
    return wrong_below, right_above
