"""The ways to read a subject's answers: the classifier alone, its predictor, the whole policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gatekeeper.evaluation.answers import Answers
from gatekeeper.types import BoolArray, FloatArray, IntArray

Array: TypeAlias = npt.NDArray[Any]

METHODS = ("msp", "raw", "policy")
"""The classifier's top probability; the raw answer with our reliability; the whole policy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """Answers to S conditions x N images, as one method orders and states them; (S, N) each.

    Attributes:
        scores: What orders the answers, higher is more reliable.
        stated: Stated probability of being right, in [0, 1].
        correct: Whether the answer is right.
        raw_correct: Whether the answer to the image as received is right.
        accepted: Whether the answer is accepted; None where nothing gates it.
        restored: Whether the image was restored; None likewise.
    """

    scores: FloatArray
    stated: FloatArray
    correct: BoolArray
    raw_correct: BoolArray
    accepted: BoolArray | None = None
    restored: BoolArray | None = None

    def take(self, conditions: IntArray) -> View:
        """The rows of some conditions."""
        return self._each(lambda array: array[conditions])

    def pick(self, condition_of_image: IntArray) -> View:
        """One condition per image, shape (N,): a stream, with S = 1."""
        images = np.arange(len(condition_of_image))
        return self._each(lambda array: array[condition_of_image, images][None, :])

    def _each(self, rows: Callable[[Array], Array]) -> View:
        kept: dict[str, Any] = {}
        for name in (field.name for field in fields(self)):
            array = getattr(self, name)
            kept[name] = None if array is None else rows(array)
        return View(**kept)


def views_of(answers: Answers) -> dict[str, View]:
    """Method (of ``METHODS``) -> view; a classifier alone has ``msp`` only."""
    raw = answers.raw_correct
    views = {"msp": View(scores=answers.msp, stated=answers.msp, correct=raw, raw_correct=raw)}
    gate = answers.gate
    if gate is not None:
        views["raw"] = View(
            scores=gate.raw_score, stated=gate.raw_reliability, correct=raw, raw_correct=raw
        )
        views["policy"] = View(
            scores=gate.kept_reliability,
            stated=gate.reliability,
            correct=answers.final_correct,
            raw_correct=raw,
            accepted=gate.accepted,
            restored=gate.restored,
        )
    return views


def main_view(answers: Answers) -> View:
    """What a user of the subject gets: the whole policy, or the classifier's answers."""
    return list(views_of(answers).values())[-1]
