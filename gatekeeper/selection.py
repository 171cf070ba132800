"""How far the learned predictor is trusted: chosen by leaving one group of corruptions out.

What a predictor does on corruptions that it has seen says little about those that it will meet.
So each group of corruptions is left out once, the predictor learns from the others on one part of
the *fit* images, and every candidate is judged on the left-out group at the remaining images. The
aim is never to be worse than the maximum softmax on a group that has not been seen: measured, not
promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatekeeper.corruptions import groups_of
from gatekeeper.errors import InputError
from gatekeeper.evidence import EvidenceTable
from gatekeeper.metrics import failure_auroc
from gatekeeper.mlp import MlpOptions
from gatekeeper.reliability import SINGLE_SCORES, LearnedPredictor
from gatekeeper.types import BoolArray, FloatArray, IntArray, StrArray

CANDIDATES = (0.4, 0.6, 0.8, 1.0)

_JUDGED_SHARE = 4  # one image in so many is judged
_GROUP_LOSS = 0.01
_CLEAN_LOSS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A degree of trust and what it did on groups that were left out.

    Attributes:
        trust: Share of the learned log-odds in the score.
        mean: Failure AUROC less that of the maximum softmax, mean over the left-out groups.
        worst: The same of the worst group.
        clean: The same on clean images, mean over the predictors.
    """

    trust: float
    mean: float
    worst: float
    clean: float

    @property
    def harmless(self) -> bool:
        """Whether it is nowhere worse than the maximum softmax by more than a small margin."""
        return self.worst >= -_GROUP_LOSS and self.clean >= -_CLEAN_LOSS


def judge_trust(
    table: EvidenceTable,
    options: MlpOptions,
    *,
    seed: int,
    candidates: Sequence[float] = CANDIDATES,
) -> tuple[Candidate, ...]:
    """What each degree of trust does on groups of corruptions that were left out.

    Args:
        table: Raw looks at *fit* images, clean and corrupted.
        options: Of the perceptrons.
        seed: Of the predictors, and of which images are judged.
        candidates: Degrees of trust in (0, 1].

    Returns:
        One entry per candidate, in the order given; nothing where fewer than two groups have both
        right and wrong answers to be judged by.

    Raises:
        InputError: there is no candidate.
    """
    if not candidates:
        raise InputError("expected at least one degree of trust to choose from, got none")
    judged_image = _judged_images(table.plan.positions, seed)
    gains: list[list[float]] = []
    clean_gains: list[list[float]] = []
    for group in _groups(table.plan.corruptions):
        member = _in_group(table.plan.corruptions, group)
        rows = np.flatnonzero(member & judged_image)
        if not _both(table.correct[rows]):
            continue
        clean = np.flatnonzero((table.plan.corruptions == "") & judged_image)
        learned = LearnedPredictor(options, seed=seed)
        known = np.flatnonzero(~member & ~judged_image)
        learned.fit(table.evidence.take(known), table.labels[known])
        gains.append(_gains(learned, table, rows, candidates))
        if _both(table.correct[clean]):
            clean_gains.append(_gains(learned, table, clean, candidates))
    if len(gains) < 2:
        return ()
    on_clean = np.mean(clean_gains, axis=0) if clean_gains else np.zeros(len(candidates))
    return tuple(
        Candidate(
            trust=trust, mean=float(column.mean()), worst=float(column.min()), clean=float(clean)
        )
        for trust, column, clean in zip(candidates, np.array(gains).T, on_clean, strict=True)
    )


def choose(judged: Sequence[Candidate]) -> Candidate:
    """The best on average of those that harm nowhere; the least harmful where all do.

    Raises:
        InputError: there is no candidate.
    """
    if not judged:
        raise InputError("expected at least one judged degree of trust, got none")
    harmless = [candidate for candidate in judged if candidate.harmless]
    if harmless:
        return max(harmless, key=lambda candidate: candidate.mean)
    return max(judged, key=lambda candidate: min(candidate.worst, candidate.clean))


def _gains(
    learned: LearnedPredictor, table: EvidenceTable, rows: IntArray, candidates: Sequence[float]
) -> list[float]:
    looks, right = table.evidence.take(rows), table.correct[rows]
    baseline = failure_auroc(SINGLE_SCORES["max_softmax"].score(looks), right)
    return [
        failure_auroc(score, right) - baseline for score in learned.scores_at(looks, candidates)
    ]


def _judged_images(positions: IntArray, seed: int) -> BoolArray:
    images, place = np.unique(positions, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(images))
    return np.asarray((order % _JUDGED_SHARE == 0)[place])


def _groups(corruptions: StrArray) -> list[str]:
    names = set(corruptions.tolist()) - {""}
    return sorted({group for name in names for group in groups_of(name)})


def _in_group(corruptions: StrArray, group: str) -> BoolArray:
    names, place = np.unique(corruptions, return_inverse=True)
    members = [bool(name) and group in groups_of(str(name)) for name in names.tolist()]
    return np.asarray(np.array(members, dtype=bool)[place])


def _both(right: FloatArray | BoolArray) -> bool:
    return bool(len(right)) and bool(right.any()) and not bool(right.all())
