"""What a restorer in training is shown in each step, as a function of the step's number."""

from __future__ import annotations

from torch import Tensor

from gatekeeper.protocols import TrainingBatch
from gatekeeper.training.degradation import Degradation
from gatekeeper.training.restorer_recipe import RestorerSchedule
from gatekeeper.training.sources import Images, Order
from gatekeeper.types import IntArray


class Batches:
    """Pairs of clean and degraded images, and unlabelled noisy ones where there are any.

    Args:
        clean: Images that pairs are made of.
        degradation: What degrades them.
        schedule: Batch size, crops and flips.
        seed: Of the run.
        unlabelled: Images of the target domain, or None.
        unlabelled_degradation: What makes these noisy; None where they are already.
    """

    def __init__(
        self,
        clean: Images,
        degradation: Degradation,
        schedule: RestorerSchedule,
        *,
        seed: int,
        unlabelled: Images | None = None,
        unlabelled_degradation: Degradation | None = None,
    ) -> None:
        self._clean, self._degradation, self._schedule = clean, degradation, schedule
        self._order = Order(clean.digests, schedule.batch_size, seed=seed, purpose="restorer")
        self._unlabelled, self._makes_noisy = unlabelled, unlabelled_degradation
        self._other_order = (
            None
            if unlabelled is None
            else Order(unlabelled.digests, schedule.batch_size, seed=seed, purpose="unlabelled")
        )

    def step(self, number: int) -> TrainingBatch:
        """The batch of a step; the first step is 0."""
        rows, seeds = self._order.step(number)
        clean = self._crops(self._clean, rows, seeds)
        labels = self._clean.labels
        return TrainingBatch(
            clean=clean,
            degraded=self._degradation(clean, seeds),
            labels=None if labels is None else labels[rows],
            seeds=seeds,
            unlabelled=self._noisy(number),
        )

    def _noisy(self, number: int) -> Tensor | None:
        if self._unlabelled is None or self._other_order is None:
            return None
        rows, seeds = self._other_order.step(number)
        crops = self._crops(self._unlabelled, rows, seeds)
        return crops if self._makes_noisy is None else self._makes_noisy(crops, seeds)

    def _crops(self, images: Images, rows: IntArray, seeds: IntArray) -> Tensor:
        return images.crops(rows, seeds, side=self._schedule.crop_px, flips=self._schedule.flips)
