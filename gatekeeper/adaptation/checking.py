"""What random draws of accepted answers prove about a challenger on the captured traffic.

Only they can: labels of abstentions are no sample of what is accepted. The statement is about the
answers that the challenger accepts among those that the champion accepted, because only these were
drawn from at random.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatekeeper.evidence import require_one_row_per_image
from gatekeeper.metrics import exact_proportion_interval
from gatekeeper.risk_control import binomial_tail, risk_upper_bound
from gatekeeper.risk_control.binomial import why_not_certified
from gatekeeper.types import BoolArray, FloatArray, StrArray

POPULATION = "answers that the challenger accepts, of those that the champion accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedCertificate:
    """What is certified about captured traffic without a labelled sample of all of it.

    Attributes:
        certified: Whether the accepted risk is shown to be at most the target.
        population: What it speaks of.
        n: Random draws that were read, one per image.
        n_accepted: Of them accepted by the challenger.
        n_wrong: Of those, wrong.
        upper_bound: Exact one-sided bound of the risk, None without an accepted draw.
        reason: Why it cannot certify, a sentence that begins "cannot certify: "; None where it
            can.
    """

    certified: bool
    population: str
    n: int
    n_accepted: int
    n_wrong: int
    upper_bound: float | None
    reason: str | None

    def to_json(self) -> dict[str, Any]:
        """As it stands in the certificate."""
        return asdict(self)


def without_sample(reason: str) -> CapturedCertificate:
    """Nothing is certified about the captured traffic, and why."""
    return CapturedCertificate(
        certified=False,
        population=POPULATION,
        n=0,
        n_accepted=0,
        n_wrong=0,
        upper_bound=None,
        reason=f"cannot certify: {reason}",
    )


def certify_on_draws(
    digests: StrArray,
    accepted: BoolArray,
    wrong: BoolArray,
    *,
    n_unlabelled: int | None,
    target_risk: float,
    confidence_level: float,
) -> CapturedCertificate:
    """One exact test of the finished challenger, on draws that nothing else has read.

    Args:
        digests: Of the draws, all with one probability, shape (N,).
        accepted: Whether the challenger accepts each, shape (N,).
        wrong: Whether its final answer is wrong, shape (N,).
        n_unlabelled: Draws that nobody has labelled; None where that is not known.
        target_risk: In (0, 1).
        confidence_level: In (0, 1).

    Raises:
        InputError: an image occurs twice.
    """
    if n_unlabelled is None:
        return without_sample(
            "an export holds labelled images only, so nobody can tell which random draws were left "
            "out; name the queue's folder"
        )
    if n_unlabelled:
        return without_sample(
            f"{n_unlabelled} random draws of accepted answers have no label, and those that are "
            "left out may be the hard ones; label them all"
        )
    if not len(digests):
        return without_sample(
            "there is no random labelled sample: the queue holds no draws of answers that this "
            "champion accepted; set a share to draw, or give a labelled sample with --sample"
        )
    require_one_row_per_image(digests)
    n_accepted, n_wrong = int(accepted.sum()), int((accepted & wrong).sum())
    passed = (
        n_accepted > 0
        and binomial_tail(n_wrong, n_accepted, target_risk) <= 1.0 - confidence_level + 1e-12
    )
    reason = None
    if not passed:
        said = why_not_certified(
            n_wrong,
            n_accepted,
            target_risk=target_risk,
            confidence_level=confidence_level,
            where="among the random draws",
        )
        reason = f"cannot certify: {said.removeprefix('Cannot certify: ')}"
    return CapturedCertificate(
        certified=passed,
        population=POPULATION,
        n=len(digests),
        n_accepted=n_accepted,
        n_wrong=n_wrong,
        upper_bound=risk_upper_bound(n_wrong, n_accepted, confidence_level) if n_accepted else None,
        reason=reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """Whether the reliabilities that were stated are kept, on random draws of accepted answers.

    Attributes:
        n: Draws.
        stated: Mean reliability that the gate states, in [0, 1].
        right: Share of right final answers.
        low: Lower end of its exact 95 % interval.
        high: Upper end.
    """

    n: int
    stated: float
    right: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether what is stated lies in the interval."""
        return self.low <= self.stated <= self.high

    def to_json(self) -> dict[str, Any]:
        """With the verdict."""
        return {**asdict(self), "holds": self.holds}


def recheck(reliability: FloatArray, right: BoolArray) -> Recheck | None:
    """Compare what is stated with what people say; None where nothing was drawn.

    Args:
        reliability: Final reliability of each draw, shape (N,).
        right: Whether its final answer is right, shape (N,).
    """
    if not len(right):
        return None
    count = int(right.sum())
    low, high = exact_proportion_interval(count, len(right))
    return Recheck(
        n=len(right),
        stated=float(np.mean(reliability)),
        right=count / len(right),
        low=low,
        high=high,
    )
