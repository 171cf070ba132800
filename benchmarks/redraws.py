"""Intervals where rows share base images: whole images are redrawn.

An :class:`Estimate` carries what each image adds to it, to first order. Estimates on the same
images are combined (differences, ratios, means over classifiers) image by image, so that the
interval of what comes out knows that all of it was judged on the same images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Self

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.types import FloatArray, IntArray

_ALL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A number and what each of n images adds to it.

    Attributes:
        value: The number.
        influence: Derivative of the number in the weight of each image, shape (n,); sums to 0.
    """

    value: float
    influence: FloatArray

    @classmethod
    def of_rows(cls, value: float, rows: FloatArray, images: IntArray, n_images: int) -> Self:
        """Sum the influences of rows, shape (N,), within their images, shape (N,)."""
        summed = np.asarray(np.bincount(images, weights=rows, minlength=n_images), np.float64)
        return cls(value=value, influence=summed)

    def minus(self, other: Estimate) -> Estimate:
        """The paired difference."""
        return Estimate(value=self.value - other.value, influence=self.influence - other.influence)

    def gap_closed(self, reference: Estimate) -> Estimate:
        """(a − r) / (1 − r): how much of the way from the reference to 1 was gone.

        Raises:
            InputError: the reference is 1, so that there is no gap.
        """
        left = 1.0 - reference.value
        if not left > 0.0:
            raise InputError(f"expected a reference below 1, got {reference.value}")
        pull = (1.0 - self.value) / left**2
        return Estimate(
            value=(self.value - reference.value) / left,
            influence=self.influence / left - pull * reference.influence,
        )

    def relative_cut(self, reference: Estimate) -> Estimate:
        """1 − a / r: the share of the reference that is gone.

        Raises:
            InputError: the reference is 0, so that nothing can be cut.
        """
        if not reference.value > 0.0:
            raise InputError(f"expected a reference above 0, got {reference.value}")
        ratio = self.value / reference.value
        influence = (ratio * reference.influence - self.influence) / reference.value
        return Estimate(value=1.0 - ratio, influence=influence)


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of estimates on the same images; at least one."""
    return Estimate(
        value=fmean(e.value for e in estimates),
        influence=np.mean([e.influence for e in estimates], axis=0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """A value with the ends of an interval."""

    value: float
    low: float
    high: float


class Redraws:
    """How often each of n images occurs in each of M redraws.

    Args:
        n_images: n, at least 1.
        n_draws: M, at least 1.
        seed: Of the redraws.

    Attributes:
        times: Shape (M, n), whole numbers, float32; each row sums to n.
    """

    def __init__(self, n_images: int, *, n_draws: int = 1000, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        drawn = (rng.integers(n_images, size=n_images) for _ in range(n_draws))
        self.times: FloatArray = np.stack(
            [np.bincount(images, minlength=n_images) for images in drawn]
        ).astype(np.float32)

    def interval(self, estimate: Estimate, *, one_sided: bool = False) -> Ends:
        """Percentile interval of the redrawn estimate, at 95 %.

        Args:
            estimate: On the n images.
            one_sided: Whether each end is a one-sided bound (then the two enclose 90 %).
        """
        redrawn = estimate.value + self.times @ estimate.influence
        tail = (1.0 - _ALL) * (1.0 if one_sided else 0.5)
        low, high = np.quantile(redrawn, [tail, 1.0 - tail])
        return Ends(value=estimate.value, low=float(low), high=float(high))

    def pessimistic(self, value: float, redrawn: FloatArray) -> Ends:
        """Ends of a 95 % interval of something at least 0, from its values in the redraws.

        Each end is the more pessimistic of the percentile and the reflected bootstrap, as in
        :func:`gatekeeper.metrics.bootstrap_interval`: a binned error is biased in every redraw.

        Args:
            value: On the images as they are.
            redrawn: Shape (M,).
        """
        tail = (1.0 - _ALL) / 2.0
        low, high = np.quantile(redrawn, [tail, 1.0 - tail])
        return Ends(
            value=value,
            low=float(max(0.0, min(low, 2.0 * value - high))),
            high=float(max(high, 2.0 * value - low)),
        )


def mean_ends(ends: Sequence[Ends]) -> Ends:
    """Means over the seeds: of the values, and of each end; at least one."""
    return Ends(
        value=fmean(e.value for e in ends),
        low=fmean(e.low for e in ends),
        high=fmean(e.high for e in ends),
    )
