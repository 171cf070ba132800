"""Several hypotheses, one level: Holm's step-down procedure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import check_confidence_level
from gatekeeper.types import BoolArray, FloatArray


def holm(p_values: npt.ArrayLike, confidence_level: float) -> BoolArray:
    """Which of several hypotheses are refuted together, so that all hold at the level.

    For certificates that are issued as one claim, such as one per group of conditions.

    Args:
        p_values: Shape (M,), in [0, 1], dependent or not.
        confidence_level: Probability that no true hypothesis is refuted, in (0, 1).

    Returns:
        Shape (M,), True where the hypothesis is refuted.

    Raises:
        InputError: M is 0, or a p-value or the level is outside its range.

    Example:
        >>> holm([0.01, 0.04, 0.03], 0.95).tolist()
        [True, False, False]

    Source:
        Holm 1979.
    """
    level = 1.0 - check_confidence_level(confidence_level)
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    passes = p[order] <= level / np.arange(len(p), 0, -1)
    refuted = np.zeros(len(p), dtype=np.bool_)
    refuted[order] = np.logical_and.accumulate(passes)
    return refuted


def adjusted_by_holm(p_values: npt.ArrayLike) -> FloatArray:
    """Holm-adjusted p-values: the smallest family-wise level at which each would be refuted.

    Args:
        p_values: Shape (M,), in [0, 1], dependent or not.

    Returns:
        Shape (M,), in [0, 1], never below the p-value itself. Up to rounding, it is at most
        1 - confidence_level exactly where :func:`holm` refutes.

    Raises:
        InputError: M is 0, or a p-value is outside its range.

    Example:
        >>> adjusted_by_holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]

    Source:
        Holm 1979.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def _checked(p_values: npt.ArrayLike) -> FloatArray:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or len(p) == 0 or not np.all((p >= 0.0) & (p <= 1.0)):
        raise InputError(f"p_values must have shape (M,) and lie in [0, 1], got {p_values!r}")
    return p
