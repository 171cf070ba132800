"""Is the risk of accepted answers still at most the target? An e-process on labelled feedback."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import check_confidence_level
from gatekeeper.types import BoolArray, FloatArray, IntArray

# Odds of an error, as multiples of the odds at the target, on which the money is put; most of it
# where the risk is about doubled.
_ODDS_RATIOS = np.array([1.15, 1.3, 1.5, 1.75, 2.0, 2.25, 2.6, 3.0, 4.0, 6.0, 10.0, 20.0])
_MONEY = np.array([1.0, 1.0, 1.0, 2.0, 4.0, 4.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]) / 21.0

# Share of the money that bets from the first label on; the rest starts later and later.
_AT_ONCE = 0.6

# Far above any threshold, far below overflow. Cutting an e-process off keeps it one.
_LARGEST = 1e200

_THINNING = 0x7269736B


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorState:
    """What the monitor knows after some feedback.

    Attributes:
        e_value: Evidence that the risk exceeds the target, at least 0; 1 is none, and while the
            risk is at most the target it ever reaches x with probability at most 1 / x.
        withdrawn: Whether it ever reached 1 / (1 - confidence_level); that is final.
        withdrawn_at: Number of labels when it did; None where it did not.
        n_labels: Labels that counted.
        n_wrong: Wrong answers among them.
        n_ignored: Feedback that did not count: not accepted, or not drawn at random.
        reason: The same as a sentence.
    """

    e_value: float
    withdrawn: bool
    withdrawn_at: int | None
    n_labels: int
    n_wrong: int
    n_ignored: int
    reason: str


class RiskMonitor:
    """Withdraws a certificate when labelled feedback speaks against it, at any time.

    Null hypothesis: each counted answer is wrong with probability at most the target risk p,
    whatever came before. For an alternative q > p, bet by the likelihood ratio: multiply the
    money by q / p where the answer is wrong, by (1 - q) / (1 - p) where it is right. If the answer
    is wrong with probability r, the factor's mean, r q / p + (1 - r) (1 - q) / (1 - p), rises with
    r and is 1 at r = p: under the null it is at most 1, also if r drifts from answer to answer.
    So the money is a nonnegative supermartingale that starts at 1, and so is any portfolio fixed
    beforehand: here over twelve q, most of it near twice the odds, and over the label at which the
    bet starts, so that a change after a long good time is found as well. By Ville's inequality it
    ever reaches 1 / (1 - confidence_level) with probability at most 1 - confidence_level, however
    often it is looked at.

    The labels must be of accepted answers, each drawn for labelling with a known probability that
    does not depend on whether it is right; complaints are not. Where probabilities differ, labels
    are thinned to the smallest, never weighted.

    Args:
        target_risk: Certified selective risk, in (0, 1).
        confidence_level: Probability of never withdrawing a true certificate, in (0, 1).
        sampling_share: Probability with which every accepted answer is drawn for labelling, at
            least, in (0, 1].

    Raises:
        InputError: an argument is outside its range.

    Source:
        Ville 1939; Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by
        betting" (arXiv:2010.09686); mixtures over the time of change as in Shin, Ramdas & Rinaldo
        2023, "E-detectors" (arXiv:2203.03532), here with weights that sum to 1, which keeps
        Ville's inequality in place of an average run length.
    """

    def __init__(
        self, *, target_risk: float, confidence_level: float = 0.95, sampling_share: float = 1.0
    ) -> None:
        if not 0.0 < target_risk < 1.0:
            raise InputError(f"target_risk must lie strictly between 0 and 1, got {target_risk}")
        if not 0.0 < sampling_share <= 1.0:
            raise InputError(f"sampling_share must be in (0, 1], got {sampling_share}")
        self.target_risk = float(target_risk)
        self.confidence_level = check_confidence_level(confidence_level)
        self.sampling_share = float(sampling_share)
        self._factors = _factors(self.target_risk)
        self._started: FloatArray = np.zeros(len(_MONEY))
        self._n_labels = self._n_wrong = self._n_ignored = 0
        self._withdrawn_at = 0

    @property
    def threshold(self) -> float:
        """The e-value that withdraws, above 1."""
        return 1.0 / (1.0 - self.confidence_level)

    @property
    def e_value(self) -> float:
        """Evidence that the risk exceeds the target; see :class:`MonitorState`."""
        return float(_e_values(self._started, self._n_labels))

    @property
    def withdrawn(self) -> bool:
        """Whether the certificate is withdrawn."""
        return self._withdrawn_at > 0

    @property
    def n_labels(self) -> int:
        """Labels that counted."""
        return self._n_labels

    def update(
        self,
        wrong: bool,
        *,
        accepted: bool = True,
        at_random: bool = True,
        sampled_with: float | None = None,
        seed: int | None = None,
    ) -> MonitorState:
        """Take the label of one answer.

        Args:
            wrong: Whether the answer was wrong.
            accepted: Whether the gate had accepted it; the certificate speaks of no other.
            at_random: Whether it was drawn for labelling at random; False for a complaint.
            sampled_with: Probability with which it was drawn, at least ``sampling_share``, which
                it is where this is None. Where it is higher, the label is kept with probability
                ``sampling_share / sampled_with``.
            seed: The answer's own seed, for that draw; needed only there.

        Returns:
            What is known now.

        Raises:
            InputError: ``sampled_with`` is below ``sampling_share`` or above 1, or needs a seed.
        """
        if not (accepted and at_random and self._kept(sampled_with, seed)):
            self._n_ignored += 1
            return self.state_of_evidence()
        self._n_labels += 1
        self._n_wrong += bool(wrong)
        self._started = _advance(self._started, self._n_labels, np.bool_(wrong), self._factors)
        if not self.withdrawn and self.e_value >= self.threshold:
            self._withdrawn_at = self._n_labels
        return self.state_of_evidence()

    def _kept(self, sampled_with: float | None, seed: int | None) -> bool:
        if sampled_with is None or sampled_with == self.sampling_share:
            return True
        if not self.sampling_share < sampled_with <= 1.0:
            raise InputError(
                f"sampled_with must be between sampling_share {self.sampling_share:g} and 1, got "
                f"{sampled_with:g}; set sampling_share to the smallest probability in use"
            )
        if seed is None:
            raise InputError(
                f"a label drawn with probability {sampled_with:g} is thinned to "
                f"{self.sampling_share:g} and needs the answer's seed, got none"
            )
        draw = np.random.default_rng([_THINNING, seed]).random()
        return bool(draw < self.sampling_share / sampled_with)

    def state_of_evidence(self) -> MonitorState:
        """What is known now."""
        return MonitorState(
            e_value=self.e_value,
            withdrawn=self.withdrawn,
            withdrawn_at=self._withdrawn_at or None,
            n_labels=self._n_labels,
            n_wrong=self._n_wrong,
            n_ignored=self._n_ignored,
            reason=self._reason(),
        )

    def _reason(self) -> str:
        seen = f"{self._n_wrong} wrong of {self._n_labels} labelled accepted answers"
        if not self.withdrawn:
            return (
                f"Not withdrawn: {seen}; the e-value {self.e_value:.3g} against a risk of at most "
                f"{self.target_risk:g} never reached {self.threshold:.4g}."
            )
        return (
            f"Withdrawn at label {self._withdrawn_at}, now {seen}: the e-value reached "
            f"{self.threshold:.4g}, which happens with probability at most "
            f"{1.0 - self.confidence_level:.3g} while the risk is at most the target risk "
            f"{self.target_risk:g}; calibrate and certify again on today's traffic."
        )

    def state(self) -> dict[str, FloatArray]:
        """Everything as plain arrays."""
        counts = [self._n_labels, self._n_wrong, self._n_ignored, self._withdrawn_at]
        return {
            "options": np.array([self.target_risk, self.confidence_level, self.sampling_share]),
            "counts": np.array(counts, dtype=np.float64),
            "started": self._started.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`; goes on as if there had been no interruption.

        Raises:
            InputError: the arrays are not those that :meth:`state` gives.
        """
        shapes = {name: np.shape(state[name]) for name in sorted(state)}
        expected = {"counts": (4,), "options": (3,), "started": _MONEY.shape}
        if shapes != expected:
            raise InputError(f"expected arrays of shapes {expected}, got {shapes}")
        started = np.array(state["started"], dtype=np.float64)
        counts = [int(count) for count in state["counts"]]
        if not np.all((started >= 0.0) & (started <= _LARGEST)) or min(counts) < 0:
            raise InputError("expected amounts and counts of at least 0; start a new monitor")
        target_risk, confidence_level, sampling_share = map(float, state["options"])
        built = cls(
            target_risk=target_risk,
            confidence_level=confidence_level,
            sampling_share=sampling_share,
        )
        built._started = started
        built._n_labels, built._n_wrong, built._n_ignored, built._withdrawn_at = counts
        return built


def labels_until_withdrawal(
    wrong: npt.ArrayLike, *, target_risk: float, confidence_level: float = 0.95
) -> IntArray:
    """When fresh monitors would have withdrawn, over many recorded streams at once.

    Args:
        wrong: Whether each counted answer was wrong, boolean, shape (R, T): R streams of T labels.
        target_risk: In (0, 1).
        confidence_level: In (0, 1).

    Returns:
        Shape (R,), number of labels at withdrawal, 1…T; 0 where it never came.

    Raises:
        InputError: ``wrong`` is not boolean (R, T), or an argument is outside its range.
    """
    errors = np.asarray(wrong)
    if errors.ndim != 2 or errors.dtype != np.bool_:
        raise InputError(
            f"wrong must be boolean of shape (R, T), got {errors.dtype} of shape {errors.shape}"
        )
    monitor = RiskMonitor(target_risk=target_risk, confidence_level=confidence_level)
    factors, threshold = _factors(monitor.target_risk), monitor.threshold
    started: FloatArray = np.zeros((len(errors), len(_MONEY)))
    found = np.zeros(len(errors), dtype=np.int64)
    for n_labels, outcomes in enumerate(errors.T, start=1):
        started = _advance(started, n_labels, outcomes[:, None], factors)
        found[(found == 0) & (_e_values(started, n_labels) >= threshold)] = n_labels
    return found


def _factors(target_risk: float) -> tuple[FloatArray, FloatArray]:
    """What each bet's money is multiplied by at a wrong and at a right answer."""
    odds = target_risk / (1.0 - target_risk) * _ODDS_RATIOS
    alternatives = odds / (1.0 + odds)
    return alternatives / target_risk, (1.0 - alternatives) / (1.0 - target_risk)


def _waiting(n_labels: int) -> float:
    """Share of the money that has not started to bet after so many labels; falls to 0 slowly."""
    return (1.0 - _AT_ONCE) / (1.0 + math.log(n_labels)) if n_labels else 1.0


def _advance(
    started: FloatArray,
    n_labels: int,
    wrong: BoolArray | np.bool_,
    factors: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Money on each alternative after label number ``n_labels``, shape (…, 12)."""
    starting = _waiting(n_labels - 1) - _waiting(n_labels)
    grown = (started + starting) * np.where(wrong, *factors)
    return np.asarray(np.minimum(grown, _LARGEST))


def _e_values(started: FloatArray, n_labels: int) -> FloatArray:
    return np.asarray(started @ _MONEY + _waiting(n_labels))
