"""What every metric demands of its arguments, checked in one place and refused with a sentence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.types import BoolArray, IntArray


def score_array(scores: npt.ArrayLike, *, name: str = "scores") -> npt.NDArray[np.float64]:
    """Finite numbers, one per row.

    Args:
        scores: Shape (N,), N at least 1; numbers, higher is more reliable.
        name: What to call the argument in the error.

    Returns:
        Shape (N,), float64.

    Raises:
        InputError: not one-dimensional, empty, not numbers, or a value is NaN or infinite.
    """
    values = np.asarray(scores)
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"{name} must have shape (N,) with N at least 1, got {values.shape}")
    if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        raise InputError(f"{name} must be numbers, got {values.dtype}")
    values = values.astype(np.float64)
    n_bad = int(np.count_nonzero(~np.isfinite(values)))
    if n_bad:
        raise InputError(
            f"{name} must be finite, got {n_bad} NaN or infinite of {len(values)}; "
            "fix or drop those rows before measuring"
        )
    return values


def reliability_array(reliability: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Probabilities, one per row.

    Args:
        reliability: Shape (N,), N at least 1, in [0, 1].

    Returns:
        Shape (N,), float64.

    Raises:
        InputError: as :func:`score_array`, or a value is outside [0, 1].
    """
    values = score_array(reliability, name="reliability")
    low, high = float(values.min()), float(values.max())
    if low < 0.0 or high > 1.0:
        raise InputError(
            f"reliability must lie in [0, 1], got values from {low:g} to {high:g}; "
            "a score must pass a calibrator first"
        )
    return values


def correct_array(correct: npt.ArrayLike, *, n: int, name: str = "correct") -> BoolArray:
    """Whether each answer was right.

    Args:
        correct: Shape (N,), boolean.
        n: The N of the scores that it belongs to.
        name: What to call the argument in the error.

    Returns:
        Shape (N,), boolean.

    Raises:
        InputError: another shape, or not boolean (class labels, for example).
    """
    values = np.asarray(correct)
    if values.shape != (n,):
        raise InputError(f"{name} must have shape ({n},), one per score, got {values.shape}")
    if values.dtype != np.bool_:
        raise InputError(f"{name} must be boolean, got {values.dtype}; pass labels == truth")
    return values


def count_array(counts: npt.ArrayLike, *, name: str) -> IntArray:
    """Whole numbers, at least 0.

    Args:
        counts: Shape (M,), M at least 1, integers.
        name: What to call the argument in the error.

    Returns:
        Shape (M,), int64.

    Raises:
        InputError: not one-dimensional, empty, not integers, or a value is negative.
    """
    values = np.asarray(counts)
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"{name} must have shape (M,) with M at least 1, got {values.shape}")
    if not np.issubdtype(values.dtype, np.integer):
        raise InputError(f"{name} must be integers, got {values.dtype}")
    if int(values.min()) < 0:
        raise InputError(f"{name} must be at least 0, got {int(values.min())}")
    return values.astype(np.int64)


def check_confidence_level(confidence_level: float) -> float:
    """Refuse a confidence level outside the open interval (0, 1).

    Raises:
        InputError: it is outside, or NaN.
    """
    if not 0.0 < confidence_level < 1.0:
        raise InputError(
            f"confidence_level must lie strictly between 0 and 1, got {confidence_level}; "
            "0.95 is usual"
        )
    return float(confidence_level)


def check_share(value: float, *, name: str) -> float:
    """Refuse a share outside [0, 1].

    Raises:
        InputError: it is outside, or NaN.
    """
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} must lie in [0, 1], got {value}; percentages are fractions here")
    return float(value)


def check_at_least_one(value: int, *, name: str) -> None:
    """Refuse a count below 1.

    Raises:
        InputError: it is.
    """
    if value < 1:
        raise InputError(f"{name} must be at least 1, got {value}")


def reliability_and_correct(
    reliability: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Reliability and outcome of N answers, checked and lined up.

    Raises:
        InputError: as :func:`reliability_array` and :func:`correct_array`.
    """
    values = reliability_array(reliability)
    return values, correct_array(correct, n=len(values))


def probability_array(probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Class probabilities, one row per answer.

    Args:
        probabilities: Shape (N, K), N at least 1, K at least 2, in [0, 1]; rows sum to 1.

    Returns:
        Shape (N, K), float64.

    Raises:
        InputError: another shape, not numbers, a value is outside [0, 1] or NaN, or a row does not
            sum to 1 within 0.001.
    """
    values = np.asarray(probabilities)
    if values.ndim != 2 or len(values) == 0 or values.shape[1] < 2:
        raise InputError(
            "probabilities must have shape (N, K) with N at least 1 and K at least 2, "
            f"got {values.shape}"
        )
    if values.dtype.kind not in "fiu":
        raise InputError(f"probabilities must be numbers, got {values.dtype}")
    values = values.astype(np.float64)
    # NaN fails both comparisons.
    inside = bool(np.all((values >= 0.0) & (values <= 1.0)))
    if not inside or not bool(np.all(np.abs(values.sum(axis=1) - 1.0) <= 1e-3)):
        raise InputError(
            "probabilities must lie in [0, 1] and sum to 1 in every row; logits must pass a "
            "softmax or a logit scaler first"
        )
    return values


def label_array(labels: npt.ArrayLike, *, n: int, n_classes: int) -> IntArray:
    """True classes, one per answer.

    Args:
        labels: Shape (N,), integers in 0…K−1.
        n: The N of the probabilities that it belongs to.
        n_classes: Their K.

    Returns:
        Shape (N,), int64.

    Raises:
        InputError: another shape, not integers, or a label is no class.
    """
    values = np.asarray(labels)
    if values.shape != (n,) or values.dtype.kind not in "iu":
        raise InputError(
            f"labels must be integers of shape ({n},), one per row of probabilities, "
            f"got {values.dtype} of shape {values.shape}"
        )
    if int(values.min()) < 0 or int(values.max()) >= n_classes:
        raise InputError(
            f"labels must lie in 0…{n_classes - 1}, got {values.min()} to {values.max()}"
        )
    return values.astype(np.int64)
