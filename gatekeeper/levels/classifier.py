"""Whether a level is reliable: the distortion-classifier, and the Gaussian process's own rule.

Both speak about a *level*: whether the classifier's accuracy at that level reaches the threshold.
Neither says anything about one image.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.svm import SVC

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.levels.accuracy_process import AccuracyProcess
from gatekeeper.levels.rebalancing import Aid, LabelledLevels, rebalancer
from gatekeeper.types import BoolArray, FloatArray, IntArray

_FOLDS = 5
# Best for random levels, with SMOTE and without, on the benchmark's development pairs.
_COST = 1000.0
_REACH = 1.0


class LevelRule(Protocol):
    """Says of levels whether they are reliable."""

    def probability(self, points: FloatArray) -> FloatArray:
        """Probability that each of the levels (M, d), in unit coordinates, is reliable."""
        ...

    def is_reliable(self, points: FloatArray) -> BoolArray:
        """The label that it gives to each level, shape (M,)."""
        ...


class LevelSetRule:
    """The Gaussian process itself: reliable where its mean reaches the threshold.

    Args:
        process: Fitted on the levels tried.
        threshold: h, in (0, 1].

    Source:
        Nguyen, Gupta 2024 (arXiv:2412.20275) use a Gaussian process's mean and variance as the
        rule. Deviates in the angle on which the process works.
    """

    def __init__(self, process: AccuracyProcess, threshold: float) -> None:
        self._process, self._threshold = process, threshold

    def probability(self, points: FloatArray) -> FloatArray:
        """Posterior probability that the accuracy reaches the threshold, shape (M,)."""
        return self._process.verdict(points, self._threshold).probability

    def is_reliable(self, points: FloatArray) -> BoolArray:
        """Whether that probability is at least one half, shape (M,)."""
        return self.probability(points) >= 0.5


class DistortionClassifier:
    """A support-vector machine with a Gaussian kernel on rebalanced levels.

    The label is the machine's own, so that rebalancing acts on it. The probability is calibrated
    apart: a logistic curve through scores that were cross-fitted on the levels *as they were
    tried*, the rebalancing being done inside every fold, because resampled levels would make the
    rarer label look as frequent as the other.

    Args:
        rebalance: Key of ``REBALANCERS``.
        seed: Of folds and resampling.
        cost: C of the machine.
        reach: Length of the kernel, in unit coordinates.

    Source:
        Ours: the published distortion-classifier is not described (arXiv:2412.16881). Logistic
        calibration with smoothed targets: Platt 1999.
    """

    def __init__(
        self,
        rebalance: str = "smote",
        *,
        seed: int = 0,
        cost: float = _COST,
        reach: float = _REACH,
    ) -> None:
        self._rebalance = rebalancer(rebalance)
        self._seed, self._cost, self._reach = seed, cost, reach
        self._machine: _Machine | None = None
        self._slope, self._offset = 1.0, 0.0

    def fit(
        self,
        points: FloatArray,
        reliable: BoolArray,
        *,
        process: AccuracyProcess | None = None,
        threshold: float = 0.5,
    ) -> DistortionClassifier:
        """Learn from levels tried.

        Args:
            points: Shape (n, d), in unit coordinates.
            reliable: Their labels, shape (n,).
            process: Fitted on the same levels; only ``gp_synthetic`` asks for it.
            threshold: h; only ``gp_synthetic`` asks for it.

        Raises:
            InputError: shapes differ, there is no level, or the rebalancer refuses.
        """
        x, y = np.asarray(points, dtype=np.float64), np.asarray(reliable, dtype=bool)
        if x.ndim != 2 or y.shape != (len(x),) or not len(y):
            raise InputError(
                f"expected levels (n, d) with one label each, at least one, got {x.shape} and "
                f"{y.shape}"
            )
        aid = Aid(seed=self._seed, process=process, threshold=threshold)
        self._machine = self._learned(x, y, aid)
        scores = self._cross_fitted(x, y, aid)
        self._slope, self._offset = _logistic(scores, y)
        return self

    def is_reliable(self, points: FloatArray) -> BoolArray:
        """The machine's label of each level (M, d), shape (M,).

        Raises:
            NotFittedError: called before :meth:`fit`.
        """
        return self._scores(points) >= 0

    def probability(self, points: FloatArray) -> FloatArray:
        """Calibrated probability that each level (M, d) is reliable, shape (M,), in [0, 1].

        Raises:
            NotFittedError: called before :meth:`fit`.
        """
        return np.asarray(expit(self._slope * self._scores(points) + self._offset))

    def _scores(self, points: FloatArray) -> FloatArray:
        if self._machine is None:
            raise NotFittedError("a distortion-classifier needs fit before it labels levels")
        return self._machine.scores(np.asarray(points, dtype=np.float64))

    def _learned(self, x: FloatArray, y: BoolArray, aid: Aid) -> _Machine:
        levels = self._rebalance(LabelledLevels.even(x, y), aid)
        return _Machine(levels, self._cost, self._reach)

    def _cross_fitted(self, x: FloatArray, y: BoolArray, aid: Aid) -> FloatArray:
        """Scores of levels that the machine which gives them has not seen, shape (n,)."""
        scores = np.zeros(len(y))
        folds = _folds(y, self._seed)
        for fold in range(_FOLDS):
            left_out = folds == fold
            if not left_out.any() or left_out.all():
                continue
            try:
                machine = self._learned(x[~left_out], y[~left_out], aid)
            except InputError:
                # Too few of the rarer label once the fold is taken out: learned as they are.
                machine = _Machine(
                    LabelledLevels.even(x[~left_out], y[~left_out]), self._cost, self._reach
                )
            scores[left_out] = machine.scores(x[left_out])
        return scores


class _Machine:
    """A support-vector machine, or a constant where all labels are the same."""

    def __init__(self, levels: LabelledLevels, cost: float, reach: float) -> None:
        self._constant = 1.0 if levels.reliable.all() else -1.0
        self._svc: SVC | None = None
        if levels.n_minority:
            self._svc = SVC(C=cost, gamma=0.5 / reach**2)
            self._svc.fit(levels.points, levels.reliable, sample_weight=levels.weights)

    def scores(self, points: FloatArray) -> FloatArray:
        """Signed distance; at least 0 is reliable."""
        if self._svc is None:
            return np.full(len(points), self._constant)
        return np.asarray(self._svc.decision_function(points), dtype=np.float64)


def _folds(reliable: BoolArray, seed: int) -> IntArray:
    """Fold of each level, both labels spread evenly."""
    folds = np.empty(len(reliable), dtype=np.int64)
    generator = np.random.default_rng(seed)
    start = 0
    for label in (True, False):
        rows = generator.permutation(np.flatnonzero(reliable == label))
        folds[rows] = (start + np.arange(len(rows))) % _FOLDS
        start += len(rows)
    return folds


def _logistic(scores: FloatArray, reliable: BoolArray) -> tuple[float, float]:
    """Slope, at least 0, and offset of P(reliable | score), with Platt's smoothed targets."""
    n_yes = int(reliable.sum())
    n_no = len(reliable) - n_yes
    target = np.where(reliable, (n_yes + 1) / (n_yes + 2), 1 / (n_no + 2))

    def loss(vector: FloatArray) -> tuple[float, FloatArray]:
        argument = vector[0] * scores + vector[1]
        value = np.logaddexp(0.0, argument) - target * argument
        slope = expit(argument) - target
        return float(value.sum()), np.array([slope @ scores, slope.sum()])

    found = minimize(
        loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.0, 20.0), (-20, 20)]
    )
    return float(found.x[0]), float(found.x[1])
