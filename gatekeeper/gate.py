"""The gate: reliabilities in, an action out. Pure; no torch, no files, no clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatekeeper.decision import Action, Reason
from gatekeeper.errors import InputError
from gatekeeper.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The policy on one image: accept, restore and look again, or abstain.

    A raw reliability of at least ``accept_raw_at`` is accepted. Otherwise, where there is a
    restored attempt, it replaces the raw one only if its reliability exceeds the raw one by
    ``switch_margin``; the kept attempt is accepted if it meets its own threshold. Where several
    restored attempts are allowed, the first that would be accepted ends them; where none would be,
    the most reliable of them is the restored attempt.

    Attributes:
        accept_raw_at: Threshold of the raw attempt, in [0, 1]; above 1 it accepts nothing.
        accept_restored_at: Threshold of a restored attempt, likewise.
        switch_margin: Least gain in reliability for which the restored answer is kept, in [0, 1].

    Raises:
        InputError: a threshold is negative or not finite, or the margin is outside [0, 1].
    """

    accept_raw_at: float
    accept_restored_at: float
    switch_margin: float

    def __post_init__(self) -> None:
        """Refuse a gate that cannot be meant."""
        for name in ("accept_raw_at", "accept_restored_at"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name} must be a number of at least 0, got {value}")
        if not 0 <= self.switch_margin <= 1:
            raise InputError(f"switch_margin must be in [0, 1], got {self.switch_margin}")

    def first(self, raw_reliability: float) -> Action:
        """ACCEPT the raw answer, or RESTORE (look for a better attempt).

        Raises:
            InputError: the reliability is not a probability.
        """
        _check_probability(raw_reliability)
        return Action.ACCEPT if raw_reliability >= self.accept_raw_at else Action.RESTORE

    def decide(self, raw_reliability: float, restored_reliability: float | None) -> Outcome:
        """The end of the policy for one image.

        Args:
            raw_reliability: Calibrated reliability of the raw attempt, in [0, 1].
            restored_reliability: That of the restored attempt; None where nothing was restored.

        Raises:
            InputError: a reliability is not a probability.
        """
        if self.first(raw_reliability) is Action.ACCEPT:
            return Outcome(action=Action.ACCEPT, reason=Reason.ACCEPTED_RAW, keep_restored=False)
        if restored_reliability is None:
            return Outcome(action=Action.ABSTAIN, reason=Reason.NO_RESTORER, keep_restored=False)
        _check_probability(restored_reliability)
        if restored_reliability <= raw_reliability + self.switch_margin:
            return Outcome(
                action=Action.ABSTAIN, reason=Reason.RESTORATION_NOT_BETTER, keep_restored=False
            )
        if restored_reliability >= self.accept_restored_at:
            return Outcome(
                action=Action.ACCEPT, reason=Reason.ACCEPTED_AFTER_RESTORATION, keep_restored=True
            )
        return Outcome(action=Action.ABSTAIN, reason=Reason.STILL_UNRELIABLE, keep_restored=True)

    def replay(self, raw_reliability: FloatArray, restored_reliability: FloatArray) -> Replay:
        """The same policy over N recorded images at once.

        Args:
            raw_reliability: Shape (N,).
            restored_reliability: Shape (N,); NaN where no restored attempt is on record.

        Returns:
            Which answers are kept and accepted; equal, row by row, to :meth:`decide`.

        Raises:
            InputError: shapes differ or a reliability is not a probability.
        """
        raw = np.asarray(raw_reliability, dtype=np.float64)
        restored = np.asarray(restored_reliability, dtype=np.float64)
        if raw.shape != restored.shape or raw.ndim != 1:
            raise InputError(
                f"expected two arrays of one length, got shapes {raw.shape} and {restored.shape}"
            )
        if not ((raw >= 0) & (raw <= 1)).all():
            raise InputError("raw reliabilities must be in [0, 1]; were they calibrated?")
        if ((restored < 0) | (restored > 1)).any():
            raise InputError("restored reliabilities must be in [0, 1] or NaN, for none on record")
        accepted_raw = raw >= self.accept_raw_at
        # Comparisons with NaN are false: a row without a restored attempt keeps its raw answer.
        keep = ~accepted_raw & (restored > raw + self.switch_margin)
        accepted = accepted_raw | (keep & (restored >= self.accept_restored_at))
        return Replay(
            accepted=accepted,
            keep_restored=keep,
            restored=~accepted_raw & ~np.isnan(restored),
            kept_reliability=np.where(keep, restored, raw),
        )

    def met(self, raw_reliability: FloatArray, restored_reliability: FloatArray) -> BoolArray:
        """Whether a restored attempt would be accepted; shapes are broadcast, NaN is not met."""
        better = restored_reliability > raw_reliability + self.switch_margin
        return np.asarray(better & (restored_reliability >= self.accept_restored_at))

    def resting(self, raw_reliability: FloatArray, attempts: FloatArray) -> IntArray:
        """Which of several restored attempts counts as the restored one.

        Args:
            raw_reliability: Shape (N,), in [0, 1].
            attempts: Reliability of each restored attempt in the order of trying, shape (N, A); NaN
                where none is on record.

        Returns:
            Column of the first attempt that would be accepted, or of the most reliable one where
            none would be; −1 where none is on record. Shape (N,).

        Raises:
            InputError: shapes do not fit.
        """
        if attempts.ndim != 2 or len(attempts) != len(raw_reliability) or not attempts.shape[1]:
            raise InputError(
                f"expected attempts of shape ({len(raw_reliability)}, A), got {attempts.shape}"
            )
        met = self.met(raw_reliability[:, None], attempts)
        best = np.argmax(np.where(np.isnan(attempts), -np.inf, attempts), axis=1)
        found = np.where(met.any(axis=1), np.argmax(met, axis=1), best)
        return np.where(np.isnan(attempts).all(axis=1), -1, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the gate made of one image.

    Attributes:
        action: ACCEPT or ABSTAIN.
        reason: Why.
        keep_restored: Whether the restored answer is the one that counts.
    """

    action: Action
    reason: Reason
    keep_restored: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replay:
    """What the gate made of N images; all arrays have shape (N,).

    Attributes:
        accepted: Whether the kept answer is accepted.
        keep_restored: Whether the restored answer is the one that counts.
        restored: Whether the image went through a restorer.
        kept_reliability: Reliability of the attempt that counts, in [0, 1].
    """

    accepted: BoolArray
    keep_restored: BoolArray
    restored: BoolArray
    kept_reliability: FloatArray


def _check_probability(reliability: float) -> None:
    if not 0 <= reliability <= 1:
        raise InputError(
            f"reliability must be a probability in [0, 1], got {reliability}; was it calibrated?"
        )
