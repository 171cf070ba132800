"""What every predictor demands of the evidence that it reads, and of a stored state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.protocols import Evidence
from gatekeeper.types import FloatArray, IntArray

Float64Array = npt.NDArray[np.float64]


def logits_array(evidence: Evidence) -> Float64Array:
    """Logits that order classes.

    Args:
        evidence: B looks; B may be 0.

    Returns:
        Shape (B, K), float64.

    Raises:
        InputError: fewer than two classes, or a logit is NaN or infinite (of log-probabilities,
            −inf is a probability of 0 and allowed beside a finite one).
    """
    values = np.asarray(evidence.logits, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise InputError(f"logits must have shape (B, K) with K at least 2, got {values.shape}")
    good = np.isfinite(values)
    if evidence.logits_kind == "log_probabilities":
        good |= np.isneginf(values) & good.any(axis=1, keepdims=True)
    if not good.all():
        raise InputError(
            f"logits must be finite, got {np.count_nonzero(~good)} NaN or infinite of "
            f"{values.size}; look at the classifier"
        )
    return values


def label_array(labels: npt.ArrayLike, *, n: int, n_classes: int) -> IntArray:
    """True classes to learn from, one per look and at least one.

    Args:
        labels: The argument.
        n: Number of looks that it belongs to.
        n_classes: The K of their logits.

    Returns:
        Shape (n,), integers in 0…K−1.

    Raises:
        InputError: n is 0, another shape, not integers, or a label is no class.
    """
    if n == 0:
        raise InputError("a predictor needs at least 1 look to learn from, got 0")
    truth = np.asarray(labels)
    if truth.shape != (n,) or truth.dtype.kind not in "iu":
        raise InputError(
            f"labels must be integers of shape ({n},), one per look, "
            f"got {truth.dtype} of shape {truth.shape}"
        )
    if truth.min() < 0 or truth.max() >= n_classes:
        raise InputError(
            f"labels must lie in 0…{n_classes - 1}, got {truth.min()} to {truth.max()}"
        )
    return truth


def feature_array(evidence: Evidence, *, reader: str, width: int | None = None) -> Float64Array:
    """Features of the classifier.

    Args:
        evidence: B looks; B may be 0.
        reader: Name of the score that reads them, for the error.
        width: The F that the score was fitted with; None where any serves.

    Returns:
        Shape (B, F), float64, rows contiguous, F at least 1.

    Raises:
        InputError: the classifier exposes none, they are not finite, or F is another one.
    """
    if evidence.features is None:
        raise InputError(
            f"{reader} reads the classifier's features and this evidence has none; name a feature "
            "layer for the classifier, or use a score of its logits"
        )
    values = np.ascontiguousarray(evidence.features, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise InputError(f"features must have shape (B, F) with F at least 1, got {values.shape}")
    if width is not None and values.shape[1] != width:
        raise InputError(
            f"expected features with the {width} columns of fit, got {values.shape[1]}"
        )
    n_bad = int(np.count_nonzero(~np.isfinite(values)))
    if n_bad:
        raise InputError(
            f"features must be finite, got {n_bad} NaN or infinite of {values.size}; "
            "look at the classifier"
        )
    return values


def state_arrays(
    state: Mapping[str, FloatArray], *, shapes: Mapping[str, str]
) -> dict[str, Float64Array]:
    """The arrays of a stored state, float64, copied.

    Args:
        state: What a predictor's ``state()`` gave.
        shapes: Name -> letters of its shape, such as ``"(K, F)"``; ``"()"`` for one number. Equal
            letters are equal lengths.

    Raises:
        InputError: a name is missing or unknown, or an array has another shape or is not finite.
    """
    if set(state) != set(shapes):
        raise InputError(
            f"expected a state with {', '.join(shapes)}, "
            f"got {', '.join(sorted(state)) or 'nothing'}"
        )
    lengths: dict[str, int] = {}
    found = {name: np.array(state[name], dtype=np.float64) for name in shapes}
    for name, array in found.items():
        letters = [letter for letter in shapes[name].strip("(),").split(", ") if letter]
        agrees = array.ndim == len(letters) and all(
            lengths.setdefault(letter, length) == length
            for letter, length in zip(letters, array.shape, strict=True)
        )
        if not agrees or not np.isfinite(array).all():
            raise InputError(
                f"state {name} must be finite numbers of shape {shapes[name]}, "
                f"got shape {array.shape}; fit again"
            )
    return found
