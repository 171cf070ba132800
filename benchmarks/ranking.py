"""How well one score orders one pool of answers: every figure from a single sort.

Pools hold each base image many times, so each figure comes with what every *image* adds to it: its
influence, the derivative of the figure in the image's weight. Redrawing images then costs a matrix
product (:mod:`benchmarks.redraws`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmarks.redraws import Estimate
from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import correct_array
from gatekeeper.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """Answers in groups of equal scores, the most reliable group first; N rows, M groups.

    Attributes:
        group: Group of each row, shape (N,), 0 is the strictest.
        correct: Whether each answer was right, shape (N,).
        right: Right answers in each group, shape (M,).
        wrong: Wrong answers in each group, shape (M,).
    """

    group: IntArray
    correct: BoolArray
    right: IntArray
    wrong: IntArray

    @classmethod
    def of(cls, scores: FloatArray, correct: BoolArray) -> Self:
        """Sort a pool.

        Args:
            scores: Shape (N,), N at least 1, finite; higher is more reliable.
            correct: Whether each answer was right, boolean, shape (N,).

        Raises:
            InputError: shapes differ, N is 0, or a score is not finite.
        """
        if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
            raise InputError(f"expected finite scores, at least one, got shape {scores.shape}")
        answers = correct_array(correct, n=len(scores))
        distinct, group = np.unique(-scores, return_inverse=True)
        size = len(distinct)
        return cls(
            group=group,
            correct=answers,
            right=np.bincount(group[answers], minlength=size),
            wrong=np.bincount(group[~answers], minlength=size),
        )

    @property
    def accuracy(self) -> float:
        """Share of right answers, in [0, 1]."""
        return float(self.correct.mean())

    @property
    def both(self) -> bool:
        """Whether there are right and wrong answers, which failure AUROC needs."""
        return bool(self.right.any() and self.wrong.any())

    def failure_auroc(self) -> float:
        """As :func:`gatekeeper.metrics.failure_auroc`.

        Raises:
            InputError: all answers are right or all wrong.
        """
        return float(self.right @ self._wrong_below() / self._require_both()[0])

    def aurc(self) -> float:
        """As :func:`gatekeeper.metrics.aurc`."""
        return float((self.right + self.wrong) @ self._curve()[1] / len(self.group))

    def augrc(self) -> float:
        """As :func:`gatekeeper.metrics.augrc`."""
        failed = np.cumsum(self.wrong)
        heights = failed + np.concatenate([[0], failed[:-1]])
        return float((self.right + self.wrong) @ heights / (2.0 * len(self.group) ** 2))

    def fpr_at_95_tpr(self) -> float:
        """As :func:`gatekeeper.metrics.fpr_at_95_tpr`.

        Raises:
            InputError: all answers are right or all wrong.
        """
        n_right, n_wrong = self._require_both()
        keeps = 20 * np.cumsum(self.right) >= 19 * n_right
        return float(np.cumsum(self.wrong)[np.argmax(keeps)] / n_wrong)

    def failure_auroc_estimate(self, images: IntArray, n_images: int) -> Estimate:
        """Failure AUROC with the influence of every image.

        Args:
            images: Image of each row, shape (N,), in 0…n_images−1.
            n_images: Number of images.

        Raises:
            InputError: all answers are right or all wrong.

        Source:
            Placement values of DeLong et al. 1988, summed within clusters as by Obuchowski 1997,
            "Nonparametric analysis of clustered ROC curve data".
        """
        n_right, n_wrong = self._require_both()
        value = self.failure_auroc()
        right_above = (np.cumsum(self.right) - 0.5 * self.right) / n_right
        of_right = (self._wrong_below() - value) / n_right
        of_wrong = (right_above - value) / n_wrong
        rows = np.where(self.correct, of_right[self.group], of_wrong[self.group])
        return Estimate.of_rows(value, rows, images, n_images)

    def aurc_estimate(self, images: IntArray, n_images: int) -> Estimate:
        """AURC with the influence of every image.

        A row moves the area in two ways: it is one more place at which the risk is read, and it is
        among the accepted wherever the threshold is at most its score.

        Args:
            images: Image of each row, shape (N,), in 0…n_images−1.
            n_images: Number of images.
        """
        accepted, risk = self._curve()
        n, value = len(self.group), self.aurc()
        share = (self.right + self.wrong) / accepted
        reached = np.cumsum(share[::-1])[::-1]
        charged = np.cumsum((share * risk)[::-1])[::-1]
        rows = (risk - value - charged)[self.group] + np.where(
            self.correct, 0.0, reached[self.group]
        )
        return Estimate.of_rows(value, rows / n, images, n_images)

    def _curve(self) -> tuple[IntArray, FloatArray]:
        """Answers accepted at each group's score, and their error rate, shape (M,) each."""
        accepted = np.cumsum(self.right + self.wrong)
        return accepted, np.cumsum(self.wrong) / accepted

    def _wrong_below(self) -> FloatArray:
        """Share of wrong answers below each group's score, those at it counting half."""
        n_wrong = self._require_both()[1]
        return np.asarray((n_wrong - np.cumsum(self.wrong) + 0.5 * self.wrong) / n_wrong)

    def _require_both(self) -> tuple[int, int]:
        if not self.both:
            raise InputError(
                f"expected right and wrong answers, got {len(self.group)} of one kind: right and "
                "wrong cannot be told apart in this pool"
            )
        return int(self.right.sum()), int(self.wrong.sum())
