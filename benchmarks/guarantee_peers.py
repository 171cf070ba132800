"""Other ways to a threshold with a guaranteed selective risk, for comparison on the same draws.

Each takes the certify rows of one draw, one row per image, and returns the threshold from which
answers are accepted, or None where it guarantees nothing.

    sgr               selection with guaranteed risk (Geifman & El-Yaniv 2017), from the paper
    mapie             MAPIE's controller of binary classifiers; needs ``pip install mapie``
"""

from __future__ import annotations

import importlib
import math
import warnings
from types import ModuleType
from typing import Literal

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import GatekeeperError, InputError
from gatekeeper.metrics.inputs import check_confidence_level, correct_array, score_array
from gatekeeper.risk_control import risk_upper_bound

MapieMethod = Literal["bonferroni_holm", "bonferroni", "fixed_sequence", "split_fixed_sequence"]


def sgr(
    score: npt.ArrayLike, correct: npt.ArrayLike, target_risk: float, confidence_level: float
) -> float | None:
    """Binary search over the sorted scores; each look costs its share of the level.

    With m rows there are ceil(log2(m)) looks, each with the exact binomial upper bound at
    1 - (1 - confidence_level) / number of looks. A look whose bound is at most the target moves
    to more coverage, another to less.

    Args:
        score: Shape (N,), N at least 2; higher is more reliable.
        correct: Whether each answer is right, boolean, shape (N,).
        target_risk: In (0, 1).
        confidence_level: In (0, 1).

    Returns:
        The most lenient threshold that was looked at and passed; None where none passed.

    Raises:
        InputError: shapes differ, N is below 2, or the target or the level is outside its range.

    Source:
        Geifman & El-Yaniv 2017, "Selective classification for deep neural networks", algorithm 1
        and lemma 3.1 (arXiv:1705.08500). Deviates in the output: the paper's search ends at its
        last look, whose bound may be above the target; the last look that passed is as valid.
    """
    scores = score_array(score, name="score")
    right = correct_array(correct, n=len(scores))
    level = check_confidence_level(confidence_level)
    if len(scores) < 2 or not 0.0 < target_risk < 1.0:
        raise InputError(
            f"expected at least 2 rows and a target risk in (0, 1), got {len(scores)} rows and "
            f"{target_risk}"
        )
    ascending = np.sort(scores)
    n_looks = math.ceil(math.log2(len(scores)))
    look_level = 1.0 - (1.0 - level) / n_looks
    strict, lenient = len(scores), 1
    passed: float | None = None
    for _ in range(n_looks):
        place = math.ceil((lenient + strict) / 2)
        threshold = float(ascending[place - 1])
        accepted = scores >= threshold
        n_wrong = int(np.count_nonzero(accepted & ~right))
        if risk_upper_bound(n_wrong, int(accepted.sum()), look_level) <= target_risk:
            strict, passed = place, threshold
        else:
            lenient = place
    return passed


def mapie(
    score: npt.ArrayLike,
    correct: npt.ArrayLike,
    target_risk: float,
    confidence_level: float,
    *,
    method: MapieMethod = "bonferroni_holm",
    learn: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    thresholds: npt.ArrayLike | None = None,
) -> float | None:
    """MAPIE's ``BinaryClassificationController`` on "is the answer right?".

    The reliability is the probability of the label "right", accepting is predicting it, and the
    precision is one minus the selective risk.

    Args:
        score: Reliability, shape (N,), in [0, 1].
        correct: Whether each answer is right, boolean, shape (N,).
        target_risk: In (0, 1).
        confidence_level: In (0, 1).
        method: How the level is shared among thresholds; MAPIE's default.
        learn: Scores and outcomes of other rows, on which ``split_fixed_sequence`` learns its
            order; with that method only.
        thresholds: Shape (M,), in [0, 1], to choose from; None takes MAPIE's own 0, 0.01 … 0.99.
            Those that accept nothing are left out: MAPIE 1.6 gives them no p-value and then finds
            nothing at all.

    Returns:
        The most lenient threshold that MAPIE declares valid; None where there is none.

    Raises:
        GatekeeperError: MAPIE is not installed.
        InputError: shapes differ, a reliability is outside [0, 1], or ``learn`` is given without
            its method or lacks with it.
    """
    scores = score_array(score, name="score")
    right = correct_array(correct, n=len(scores))
    if (learn is not None) != (method == "split_fixed_sequence"):
        raise InputError("expected rows to learn from with split_fixed_sequence, and only then")
    grid = np.linspace(0.0, 0.99, 100) if thresholds is None else np.asarray(thresholds, float)
    grid = grid[grid <= scores.max()]
    if scores.min() < 0.0 or scores.max() > 1.0 or len(grid) == 0:
        raise InputError("MAPIE thresholds probabilities: expected scores in [0, 1] and thresholds")
    controller = _risk_control().BinaryClassificationController(
        predict_function=_as_probabilities,
        risk="precision",
        target_level=1.0 - target_risk,
        confidence_level=confidence_level,
        fwer_method=method,
        list_predict_params=grid,
    )
    with warnings.catch_warnings():
        # It warns where nothing is valid, which None says, and where the risk is not monotone.
        warnings.simplefilter("ignore", UserWarning)
        if learn is not None:
            learned, outcomes = np.asarray(learn[0], float), np.asarray(learn[1]).astype(int)
            controller.learn_fixed_sequence_order(learned[:, None], outcomes, binary=True)
        controller.calibrate(scores[:, None], right.astype(int))
    valid = np.asarray(controller.valid_predict_params, dtype=np.float64)
    return float(valid.min()) if len(valid) else None


def _as_probabilities(column: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Both classes' probabilities, (N, 2), of reliabilities (N, 1)."""
    return np.column_stack([1.0 - column[:, 0], column[:, 0]])


def _risk_control() -> ModuleType:
    try:
        return importlib.import_module("mapie.risk_control")
    except ImportError as error:
        raise GatekeeperError(
            "the comparison with MAPIE needs the package mapie 1.6 or newer: pip install mapie"
        ) from error
