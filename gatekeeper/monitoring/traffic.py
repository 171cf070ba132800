"""Windows of served traffic: is it of the certified kind, and how accurate are its answers?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatekeeper.monitoring.accuracy import AccuracyEstimate, AccuracyEstimator
from gatekeeper.monitoring.conditions import WINDOW, ConditionsTest
from gatekeeper.types import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficState:
    """What the last whole window of traffic says, without any label.

    Attributes:
        n_images: Images of all windows that were tested.
        n_windows: Windows that were tested.
        n_flagged: Windows that are not distributed as when certified.
        p_value: Of the last window, in [0, 1]; None before the first.
        flagged: Whether the last window was flagged.
        accuracy: Estimate for all answers of the last window, abstained or not; None before the
            first, and where the bundle holds no estimator.
        accepted_risk: Estimated share of wrong answers among its accepted ones; None as above, and
            where nothing was accepted.
    """

    n_images: int = 0
    n_windows: int = 0
    n_flagged: int = 0
    p_value: float | None = None
    flagged: bool = False
    accuracy: AccuracyEstimate | None = None
    accepted_risk: AccuracyEstimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What a window keeps of one answer.

    Attributes:
        signals: Of the image as received, shape (D,).
        raw_reliability: Of the first look, in [0, 1].
        reliability: The final one, of the answer that was kept.
        accepted: Whether it was accepted.
    """

    signals: FloatArray
    raw_reliability: float
    reliability: float
    accepted: bool


class TrafficWatch:
    """Tests traffic in windows that follow one another, each of :data:`WINDOW` images.

    The windows do not overlap, so that each is a test by itself, flagged with the test's own level
    while the traffic is of the certified kind.

    Args:
        conditions: The bundle's test.
        accuracy: The bundle's estimator, where it has one.
        window: Images per window, at least 1; the test's level is calibrated for the default.
    """

    def __init__(
        self,
        conditions: ConditionsTest,
        accuracy: AccuracyEstimator | None,
        *,
        window: int = WINDOW,
    ) -> None:
        self._conditions = conditions
        self._accuracy = accuracy
        self._window = window
        self.state = TrafficState()

    def test(self, seen: list[Seen]) -> list[Seen]:
        """Test all whole windows of a list.

        Args:
            seen: In order of arrival; those of an unfinished window come first.

        Returns:
            What is left over for the next window.
        """
        while len(seen) >= self._window:
            window, seen = seen[: self._window], seen[self._window :]
            self._test_one(window)
        return seen

    def _test_one(self, window: list[Seen]) -> None:
        before = self.state
        signals = np.stack([each.signals for each in window])
        raw = np.array([each.raw_reliability for each in window])
        p_value = self._conditions.p_value(signals, raw)
        flagged = p_value < self._conditions.level
        final = np.array([each.reliability for each in window])
        accepted = np.array([each.accepted for each in window])
        self.state = TrafficState(
            n_images=before.n_images + len(window),
            n_windows=before.n_windows + 1,
            n_flagged=before.n_flagged + flagged,
            p_value=p_value,
            flagged=flagged,
            accuracy=None if self._accuracy is None else self._accuracy.accuracy(final),
            accepted_risk=(
                self._accuracy.accepted_risk(final, accepted)
                if self._accuracy is not None and self._accuracy.knows_risk and accepted.any()
                else None
            ),
        )
