"""How accurate are today's answers? An estimate without labels, from reliabilities alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import stats

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.metrics.inputs import check_confidence_level, correct_array, reliability_array
from gatekeeper.types import BoolArray, FloatArray, IntArray

_LEAST_CELLS_FOR_A_LINE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyEstimate:
    """An estimate of a share of right (or of wrong) answers, with its interval.

    Attributes:
        value: The estimate, in [0, 1].
        low: Lower end of the interval, in [0, 1].
        high: Upper end.
        n_images: Images that it was made from.
        sampling_error: Standard error by chance alone, if every reliability is exact.
        calibration_error: Standard error by which mean reliability and accuracy differed under
            conditions that were left out, beyond chance.
    """

    value: float
    low: float
    high: float
    n_images: int
    sampling_error: float
    calibration_error: float


class AccuracyEstimator:
    """Mean reliability, corrected and given an allowance as groups of conditions taught it.

    If every answer's reliability is its probability of being right, the mean reliability of a
    window is the expected accuracy. Under conditions that nothing was fitted on it is off. How
    far, is learned where there are labels: rows of *calibrate*, in cells (one condition at one
    severity, say) that belong to groups (families). Each group in turn is left out, and its cells
    are estimated from the others, by the mean reliability as it is and by a straight line through
    the cells' (mean reliability, accuracy); the way with the smaller mean error is kept. The mean
    square of its errors, less what chance explains, is the calibration error of a new condition.

    This is an estimate under "calibration still holds, as well as it did from group to group": no
    bound. Conditions that fool the reliability more than any group of *calibrate* did, fool this
    too; only labels (:class:`gatekeeper.monitoring.RiskMonitor`) can show that.

    Args:
        confidence_level: Of the two-sided interval, in (0, 1).

    Raises:
        InputError: the level is outside its range.

    Source:
        Mean reliability as estimate: Guillory et al. 2021, "Predicting with confidence on unseen
        distributions" (arXiv:2107.03315), whose difference of confidences is the line here. The
        allowance is the prediction interval of a random-effects meta-analysis (Higgins, Thompson
        & Spiegelhalter 2009) on errors of left-out groups.
    """

    def __init__(self, *, confidence_level: float = 0.95) -> None:
        self.confidence_level = check_confidence_level(confidence_level)
        self._all: _Correction | None = None
        self._accepted: _Correction | None = None

    def fit(
        self,
        reliability: npt.ArrayLike,
        correct: npt.ArrayLike,
        *,
        cells: npt.ArrayLike,
        groups: npt.ArrayLike,
        accepted: npt.ArrayLike | None = None,
    ) -> Self:
        """Learn how far mean reliability and accuracy differ from condition to condition.

        Args:
            reliability: Of the answers that count, shape (N,), in [0, 1].
            correct: Whether each is right, boolean, shape (N,).
            cells: Name of each row's condition, shape (N,).
            groups: Name of the group that is left out together, shape (N,), at least two; all
                rows of a cell are in one group.
            accepted: Whether the gate accepts each, boolean, shape (N,); needed for
                :meth:`accepted_risk`.

        Raises:
            InputError: shapes or types are not as described, there are fewer than two groups, or
                a cell is in two.
        """
        stated = reliability_array(reliability)
        right = correct_array(correct, n=len(stated))
        of_cell, of_group = (
            _names(cells, len(stated), "cells"),
            _names(groups, len(stated), "groups"),
        )
        self._all = _learned(stated, right, of_cell, of_group)
        self._accepted = None
        if accepted is not None:
            kept = correct_array(accepted, n=len(stated), name="accepted")
            if not kept.any():
                raise InputError("expected at least one accepted answer, got none; leave it out")
            self._accepted = _learned(stated[kept], right[kept], of_cell[kept], of_group[kept])
        return self

    @property
    def knows_risk(self) -> bool:
        """Whether :meth:`accepted_risk` can be asked."""
        return self._accepted is not None

    def accuracy(self, reliability: npt.ArrayLike) -> AccuracyEstimate:
        """Estimated accuracy of a window, whether its answers are accepted or not.

        Args:
            reliability: Of the answers that count, shape (n,), n at least 1, in [0, 1].

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: a value is no reliability, or there is none.
        """
        if self._all is None:
            raise NotFittedError("the accuracy estimator has seen no labels yet: call fit first")
        return self._estimate(self._all, reliability_array(reliability))

    def accepted_risk(
        self, reliability: npt.ArrayLike, accepted: npt.ArrayLike
    ) -> AccuracyEstimate:
        """Estimated share of wrong answers among the accepted ones of a window.

        Args:
            reliability: Of the answers that count, shape (n,), in [0, 1].
            accepted: Whether each is accepted, boolean, shape (n,), at least one.

        Raises:
            NotFittedError: before :meth:`fit` with ``accepted``.
            InputError: shapes differ, or nothing is accepted.
        """
        if self._accepted is None:
            raise NotFittedError(
                "the accuracy estimator has seen no accepted answers: call fit with accepted first"
            )
        stated = reliability_array(reliability)
        kept = correct_array(accepted, n=len(stated), name="accepted")
        if not kept.any():
            raise InputError("expected at least one accepted answer, got none: there is no risk")
        right = self._estimate(self._accepted, stated[kept])
        return AccuracyEstimate(
            value=1.0 - right.value,
            low=1.0 - right.high,
            high=1.0 - right.low,
            n_images=right.n_images,
            sampling_error=right.sampling_error,
            calibration_error=right.calibration_error,
        )

    def _estimate(self, correction: _Correction, stated: FloatArray) -> AccuracyEstimate:
        value = float(correction.estimates(np.array([stated.mean()]))[0])
        chance = float(np.sqrt(np.sum(stated * (1.0 - stated)))) / len(stated)
        reach = float(np.hypot(chance, correction.error))
        quantile = 0.5 + self.confidence_level / 2.0
        reach *= float(stats.t.ppf(quantile, correction.n_groups - 1))
        return AccuracyEstimate(
            value=value,
            low=max(0.0, value - reach),
            high=min(1.0, value + reach),
            n_images=len(stated),
            sampling_error=chance,
            calibration_error=correction.error,
        )

    def state(self) -> dict[str, FloatArray]:
        """What was learned, as plain arrays.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        if self._all is None:
            raise NotFittedError("the accuracy estimator has seen no labels yet: call fit first")
        state = {"confidence_level": np.array([self.confidence_level]), "all": self._all.array()}
        return state | ({"accepted": self._accepted.array()} if self._accepted else {})

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: the arrays are not those that :meth:`state` gives.
        """
        if not {"confidence_level", "all"} <= set(state) <= {"confidence_level", "all", "accepted"}:
            raise InputError(f"expected confidence_level, all and accepted, got {sorted(state)}")
        built = cls(confidence_level=float(np.asarray(state["confidence_level"]).reshape(-1)[0]))
        built._all = _Correction.from_array(state["all"])
        built._accepted = _Correction.from_array(state["accepted"]) if "accepted" in state else None
        return built


@dataclass(frozen=True, slots=True)
class _Correction:
    """accuracy ≈ intercept + slope · mean reliability, give or take ``error``."""

    intercept: float
    slope: float
    error: float
    n_groups: int

    def estimates(self, means: FloatArray) -> FloatArray:
        return np.asarray(np.clip(self.intercept + self.slope * means, 0.0, 1.0))

    def array(self) -> FloatArray:
        return np.array([self.intercept, self.slope, self.error, self.n_groups], dtype=np.float64)

    @classmethod
    def from_array(cls, array: FloatArray) -> Self:
        values = np.asarray(array, dtype=np.float64)
        if values.shape != (4,) or not np.isfinite(values).all() or values[3] < 2:
            raise InputError(
                f"expected four numbers of a fitted correction, got {array!r}; fit again"
            )
        return cls(float(values[0]), float(values[1]), float(values[2]), int(values[3]))


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """One entry per cell, shape (C,)."""

    means: FloatArray
    accuracies: FloatArray
    chance: FloatArray
    sizes: FloatArray
    groups: IntArray

    def take(self, rows: BoolArray) -> _Cells:
        return _Cells(
            self.means[rows],
            self.accuracies[rows],
            self.chance[rows],
            self.sizes[rows],
            self.groups[rows],
        )


def _learned(
    stated: FloatArray,
    right: BoolArray,
    of_cell: npt.NDArray[np.str_],
    of_group: npt.NDArray[np.str_],
) -> _Correction:
    cells = _cells(stated, right, of_cell, of_group)
    n_groups = len(np.unique(cells.groups))
    if n_groups < 2:
        raise InputError(
            "expected at least two groups of conditions, got one: how far a new one may be off "
            "cannot be learned from it"
        )
    left_out = {by_line: _left_out_errors(cells, by_line) for by_line in (False, True)}
    by_line = bool(np.abs(left_out[True]).mean() < np.abs(left_out[False]).mean())
    intercept, slope = _line(cells) if by_line else (0.0, 1.0)
    beyond = float(np.mean(left_out[by_line] ** 2 - cells.chance**2))
    # A new group's error varies as much as the groups' do, and their mean is known up to 1 / G.
    error = float(np.sqrt(max(0.0, beyond) * (1.0 + 1.0 / n_groups)))
    return _Correction(intercept, slope, error, n_groups)


def _cells(
    stated: FloatArray,
    right: BoolArray,
    of_cell: npt.NDArray[np.str_],
    of_group: npt.NDArray[np.str_],
) -> _Cells:
    names, place, sizes = np.unique(of_cell, return_inverse=True, return_counts=True)
    _, group = np.unique(of_group, return_inverse=True)
    group_of = np.zeros(len(names), dtype=np.int64)
    group_of[place] = group
    if np.any(group_of[place] != group):
        name = of_cell[int(np.argmax(group_of[place] != group))]
        raise InputError(f"expected every cell in one group, got {str(name)!r} in two")
    return _Cells(
        means=np.bincount(place, weights=stated) / sizes,
        accuracies=np.bincount(place, weights=right) / sizes,
        chance=np.sqrt(np.bincount(place, weights=stated * (1.0 - stated))) / sizes,
        sizes=sizes.astype(np.float64),
        groups=group_of,
    )


def _left_out_errors(cells: _Cells, by_line: bool) -> FloatArray:
    """Estimate minus accuracy of each cell, its whole group left out, shape (C,)."""
    errors = np.empty(len(cells.means))
    for group in np.unique(cells.groups):
        out = cells.groups == group
        intercept, slope = _line(cells.take(~out)) if by_line else (0.0, 1.0)
        errors[out] = np.clip(intercept + slope * cells.means[out], 0.0, 1.0)
        errors[out] -= cells.accuracies[out]
    return errors


def _line(cells: _Cells) -> tuple[float, float]:
    """Intercept and slope through the cells by least squares; the identity for too few of them."""
    spread = cells.means - np.average(cells.means, weights=cells.sizes)
    scatter = float(np.sum(cells.sizes * spread**2))
    if len(cells.means) < _LEAST_CELLS_FOR_A_LINE or scatter == 0.0:
        return 0.0, 1.0
    slope = float(np.sum(cells.sizes * spread * cells.accuracies)) / scatter
    centre = np.average(cells.accuracies - slope * cells.means, weights=cells.sizes)
    return float(centre), slope


def _names(values: npt.ArrayLike, n: int, name: str) -> npt.NDArray[np.str_]:
    names = np.asarray(values)
    if names.shape != (n,):
        raise InputError(f"{name} must have shape ({n},), one per row, got {names.shape}")
    return names.astype(np.str_)
