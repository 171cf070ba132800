"""What a trained restorer does to *validation*: closeness to the clean image, and recognition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gatekeeper.images import seeds_for
from gatekeeper.protocols import Classifier, Restorer
from gatekeeper.training.degradation import Degradation
from gatekeeper.training.restorer_recipe import CorruptionDraw
from gatekeeper.training.sources import Images
from gatekeeper.types import BoolArray, IntArray

CLEAN = "clean"

_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One condition, before and after restoration; each image once.

    Attributes:
        condition: ``"clean"``, or the corruption at the strengths that were trained for.
        n: Images.
        psnr_before_db: Of the mean squared error over all images; infinite where nothing was done.
        psnr_after_db: The same of the restored images.
        right_before: Images that the frozen classifier answers rightly; None without one.
        right_after: The same for the restored images.
    """

    condition: str
    n: int
    psnr_before_db: float
    psnr_after_db: float
    right_before: int | None
    right_after: int | None

    def said(self) -> str:
        """One line for people."""
        before, after = psnr_said(self.psnr_before_db), psnr_said(self.psnr_after_db)
        line = f"{self.condition}: {before} → {after}"
        if self.right_before is None or self.right_after is None:
            return line
        return f"{line}, {self.right_before / self.n:.1%} → {self.right_after / self.n:.1%} right"


def psnr_said(value_db: float) -> str:
    """A PSNR for people; a dash where nothing was done to the images."""
    return f"{value_db:.2f} dB" if math.isfinite(value_db) else "–"


def judge_restorer(
    restorer: Restorer,
    images: Images,
    draws: Sequence[CorruptionDraw],
    *,
    classifier: Classifier | None,
    seed: int,
    side: int | None,
    at_most: int,
) -> list[Judgement]:
    """Judge clean images, then each corruption by itself.

    Args:
        restorer: What was trained.
        images: *validation*; accuracy is told where they have labels.
        draws: Corruptions with their ranges.
        classifier: The frozen classifier, or None.
        seed: Of the run; an image's strengths and noise derive from it and from the image.
        side: Of the middle part that is taken of each image, in pixels; None for whole images.
        at_most: Images.
    """
    order = np.argsort(seeds_for(seed, images.digests, "judged"), kind="stable")
    rows = np.sort(order[:at_most])
    seeds = seeds_for(seed, images.digests[rows], "validation")
    found = []
    for draw in (None, *draws):
        degrade = None if draw is None else Degradation([draw])
        condition = CLEAN if draw is None else draw.name
        parts = [
            _judged(restorer, images, rows[here], seeds[here], degrade, classifier, side)
            for here in _slices(len(rows))
        ]
        found.append(_joined(condition, parts))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    n: int
    errors: tuple[float, float]
    n_values: int
    right: tuple[BoolArray, BoolArray] | None


def _judged(
    restorer: Restorer,
    images: Images,
    rows: IntArray,
    seeds: IntArray,
    degrade: Degradation | None,
    classifier: Classifier | None,
    side: int | None,
) -> _Part:
    clean = images.centres(rows, side=side)
    before = clean if degrade is None else degrade(clean, seeds)
    after = restorer.restore(before, seeds=seeds)
    labels, right = images.labels, None
    if classifier is not None and labels is not None:
        answers = [classifier.look(shown).logits.argmax(axis=1) for shown in (before, after)]
        right = (answers[0] == labels[rows], answers[1] == labels[rows])
    errors = (_squared_error(before, clean), _squared_error(after, clean))
    return _Part(n=len(rows), errors=errors, n_values=clean.numel(), right=right)


def _squared_error(images: Tensor, clean: Tensor) -> float:
    return float(torch.sum((images.double() - clean.double()).square()))


def _joined(condition: str, parts: Sequence[_Part]) -> Judgement:
    n_values = sum(part.n_values for part in parts)
    before, after = (_psnr(sum(p.errors[k] for p in parts) / n_values) for k in (0, 1))
    kept = [part.right for part in parts if part.right is not None]
    right = [int(sum(pair[k].sum() for pair in kept)) for k in (0, 1)] if kept else [None, None]
    return Judgement(
        condition=condition,
        n=sum(part.n for part in parts),
        psnr_before_db=before,
        psnr_after_db=after,
        right_before=right[0],
        right_after=right[1],
    )


def _psnr(mean_squared_error: float) -> float:
    return -10.0 * math.log10(mean_squared_error) if mean_squared_error > 0 else math.inf


def _slices(n: int) -> list[slice]:
    return [slice(start, start + _BATCH) for start in range(0, n, _BATCH)]
