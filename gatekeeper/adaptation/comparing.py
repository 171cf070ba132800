"""Champion and challenger on the same images: figures of both, paired differences, one test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from gatekeeper.bundle import FittedGate
from gatekeeper.errors import InputError
from gatekeeper.evaluation import final_correct, replay, summarise
from gatekeeper.judging import Judged
from gatekeeper.metrics import exact_proportion_interval, exact_upper_bound
from gatekeeper.types import BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Final answers of two gates on the same images, each image once.

    Attributes:
        n: Images.
        better: Right with the challenger alone.
        worse: Right with the champion alone.
        difference: (better - worse) ÷ n.
        low: One-sided lower bound of the difference; above 0 exactly where the one-sided exact
            McNemar test rejects at the same level.
        harm_bound: Exact one-sided upper bound of the share that is worse.
        p_value: Two-sided exact McNemar.
        confidence_level: Of the two bounds.
    """

    n: int
    better: int
    worse: int
    difference: float
    low: float
    harm_bound: float
    p_value: float
    confidence_level: float


def paired(champion: BoolArray, challenger: BoolArray, *, confidence_level: float) -> Paired:
    """Compare who is right.

    The bound is that of the share of discordant images on which the challenger is the right one,
    carried over to the difference with the number of discordant images as it is.

    Args:
        champion: Whether the champion's final answer is right, shape (N,).
        challenger: The same of the challenger, shape (N,).
        confidence_level: One-sided, in (0, 1).

    Raises:
        InputError: there is no image, or shapes differ.

    Source:
        McNemar 1947 in its exact form; Clopper & Pearson 1934 for the share.
    """
    if champion.shape != challenger.shape or not len(champion):
        raise InputError(
            f"expected answers of both gates to the same images, at least one, got "
            f"{len(champion)} and {len(challenger)}"
        )
    n = len(champion)
    better, worse = int((challenger & ~champion).sum()), int((champion & ~challenger).sum())
    discordant = better + worse
    low, p_value = 0.0, 1.0
    if discordant:
        share = float(stats.beta.ppf(1.0 - confidence_level, better, worse + 1)) if better else 0.0
        low = (2.0 * share - 1.0) * discordant / n
        p_value = float(stats.binomtest(better, discordant, 0.5).pvalue)
    return Paired(
        n=n,
        better=better,
        worse=worse,
        difference=(better - worse) / n,
        low=low,
        harm_bound=exact_upper_bound(worse, n, confidence_level),
        p_value=p_value,
        confidence_level=confidence_level,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One gate on the judged images.

    Attributes:
        accuracy_raw: Share of right answers without a gate, in [0, 1].
        accuracy: Share of right final answers before abstention, in [0, 1].
        failure_auroc: Of the raw predictor; None where all or no raw answers are right.
        coverage: Share accepted.
        accepted_risk: Errors ÷ accepted, None where nothing is accepted.
        accepted_risk_interval: Its exact 95 % interval, None where nothing is accepted.
        help: Wrong answers that restoration made right.
        harm: Right answers that restoration made wrong.
        restored_share: Share that went through a restorer.
        certified_coverage: Share of the certify images accepted at certified thresholds, 0 where it
            cannot certify.
    """

    accuracy_raw: float
    accuracy: float
    failure_auroc: float | None
    coverage: float
    accepted_risk: float | None
    accepted_risk_interval: tuple[float, float] | None
    help: int
    harm: int
    restored_share: float
    certified_coverage: float


def side_of(fitted: FittedGate, judged: Judged, *, certified_coverage: float) -> Side:
    """Figures of one gate on judged images.

    Args:
        fitted: The gate.
        judged: Its attempts at them.
        certified_coverage: Of its certificate for this traffic.
    """
    found = summarise(fitted, judged)
    accepted, wrong = int(found["n_accepted"]), int(found["n_wrong_accepted"])
    return Side(
        accuracy_raw=found["accuracy_no_gate"],
        accuracy=found["accuracy_final"],
        failure_auroc=found["failure_auroc"]["gatekeeper"],
        coverage=found["coverage"],
        accepted_risk=found["selective_risk"],
        accepted_risk_interval=exact_proportion_interval(wrong, accepted) if accepted else None,
        help=found["help"],
        harm=found["harm"],
        restored_share=found["restored_share"],
        certified_coverage=certified_coverage,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Champion against challenger on the same images.

    Attributes:
        images: Which images judge, a phrase.
        champion: The one.
        challenger: The other.
        paired: Who is right on which image.
        coverage_difference: Challenger less champion.
    """

    images: str
    champion: Side
    challenger: Side
    paired: Paired
    coverage_difference: float

    def to_json(self) -> Mapping[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def contest(
    champion: tuple[FittedGate, Judged, float],
    challenger: tuple[FittedGate, Judged, float],
    *,
    images: str,
    confidence_level: float,
) -> Contest:
    """Judge two gates.

    Args:
        champion: Gate, attempts, certified coverage.
        challenger: The same; attempts at the same images in the same order.
        images: Which, a phrase.
        confidence_level: One-sided, of the paired bounds.

    Raises:
        InputError: the attempts are at different images.
    """
    if not np.array_equal(champion[1].digests, challenger[1].digests):
        raise InputError("expected attempts of both gates at the same images, got different ones")
    sides = [side_of(g, j, certified_coverage=c) for g, j, c in (champion, challenger)]
    right = [final_correct(j, replay(g, j)) for g, j, _ in (champion, challenger)]
    return Contest(
        images=images,
        champion=sides[0],
        challenger=sides[1],
        paired=paired(right[0], right[1], confidence_level=confidence_level),
        coverage_difference=sides[1].coverage - sides[0].coverage,
    )
