"""What every calibrator demands of its arguments and of a stored state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.types import BoolArray, IntArray

Float64Array = npt.NDArray[np.float64]


def finite_array(values: npt.ArrayLike, *, name: str, shape: str) -> Float64Array:
    """Finite numbers in as many dimensions as ``shape`` has letters.

    Args:
        values: The argument.
        name: What to call it in the error.
        shape: Its letters, such as ``"(N,)"`` or ``"(N, C)"``.

    Returns:
        The same values, float64.

    Raises:
        InputError: another number of dimensions, not numbers, or a value is NaN or infinite.
    """
    array = np.asarray(values)
    n_dimensions = len(shape.strip("(),").split(","))
    if array.ndim != n_dimensions:
        raise InputError(f"{name} must have shape {shape}, got {array.shape}")
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} must be numbers, got {array.dtype}")
    array = array.astype(np.float64)
    n_bad = int(np.count_nonzero(~np.isfinite(array)))
    if n_bad:
        raise InputError(
            f"{name} must be finite, got {n_bad} NaN or infinite of {array.size}; "
            "fix or drop those rows first"
        )
    return array


def score_array(scores: npt.ArrayLike) -> Float64Array:
    """Scores to look up: shape (N,), finite, float64; N may be 0.

    Raises:
        InputError: as :func:`finite_array`.
    """
    return finite_array(scores, name="scores", shape="(N,)")


def outcome_array(correct: npt.ArrayLike, *, n: int) -> BoolArray:
    """Outcomes to learn from: shape (N,), boolean, one per score and at least one.

    Args:
        correct: The argument.
        n: The N of the scores that it belongs to.

    Raises:
        InputError: N is 0, another shape, or not boolean.
    """
    if n == 0:
        raise InputError("a calibrator needs at least 1 row to learn from, got 0")
    values = np.asarray(correct)
    if values.shape != (n,):
        raise InputError(f"correct must have shape ({n},), one per score, got {values.shape}")
    if values.dtype != np.bool_:
        raise InputError(f"correct must be boolean, got {values.dtype}; pass labels == truth")
    return values


def context_array(context: npt.ArrayLike | None, *, n: int) -> Float64Array:
    """Context, one row per score; None becomes a context of no columns.

    Args:
        context: Shape (N, C), or None.
        n: The N of the scores that it belongs to.

    Returns:
        Shape (N, C), float64; C is 0 for None.

    Raises:
        InputError: as :func:`finite_array`, or not one row per score.
    """
    if context is None:
        return np.zeros((n, 0))
    values = finite_array(context, name="context", shape="(N, C)")
    if len(values) != n:
        raise InputError(f"context must have one row per score: {n} scores, {len(values)} rows")
    return values


def logit_array(logits: npt.ArrayLike) -> Float64Array:
    """Logits of at least two classes: shape (N, K), finite, float64; N may be 0.

    Raises:
        InputError: as :func:`finite_array`, or K is below 2.
    """
    values = finite_array(logits, name="logits", shape="(N, K)")
    if values.shape[1] < 2:
        raise InputError(f"logits need at least 2 classes, got shape {values.shape}")
    return values


def label_array(labels: npt.ArrayLike, *, n: int, n_classes: int) -> IntArray:
    """True classes to learn from: shape (N,), integers in 0…K−1, at least one.

    Args:
        labels: The argument.
        n: The N of the logits that it belongs to.
        n_classes: Their K.

    Raises:
        InputError: N is 0, another shape, not integers, or a label is no class.
    """
    if n == 0:
        raise InputError("a logit scaler needs at least 1 row to learn from, got 0")
    values = np.asarray(labels)
    if values.shape != (n,) or values.dtype.kind not in "iu":
        raise InputError(
            f"labels must be integers of shape ({n},), one per row of logits, "
            f"got {values.dtype} of shape {values.shape}"
        )
    if values.min() < 0 or values.max() >= n_classes:
        raise InputError(
            f"labels must lie in 0…{n_classes - 1}, got {values.min()} to {values.max()}"
        )
    return values


def state_arrays(
    state: Mapping[str, npt.ArrayLike], *, names: tuple[str, ...]
) -> tuple[Float64Array, ...]:
    """The arrays of a stored state in the order of ``names``, each of one dimension, copied.

    Args:
        state: What a calibrator's ``state()`` gave.
        names: The keys that it must have; no others.

    Raises:
        InputError: a key is missing or unknown, or an array is not one row of finite numbers.
    """
    if set(state) != set(names):
        raise InputError(
            f"expected a state with {', '.join(names)}, got {', '.join(sorted(state)) or 'nothing'}"
        )
    return tuple(finite_array(state[name], name=f"state {name}", shape="(M,)") for name in names)
