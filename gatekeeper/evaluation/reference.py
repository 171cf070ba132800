"""Corruption error against a chosen reference, with paired redraws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.evaluation.grid import Grid
from gatekeeper.evaluation.redraws import Estimate, estimate
from gatekeeper.metrics import mean_corruption_error, relative_mean_corruption_error
from gatekeeper.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """The classifier that corruption errors are divided by.

    Attributes:
        name: Of the model, or of the file that its errors came from.
        errors: Error rate under each condition of the grid, shape (C,), in [0, 1].
        wrong: Its wrong answers, shape (C, N), where it answered the same images; else None.
    """

    name: str
    errors: FloatArray
    wrong: BoolArray | None = None

    @classmethod
    def of_record(cls, record: Mapping[str, Any], grid: Grid, images_digest: str) -> Reference:
        """The first model of an earlier evaluation, from its ``evaluation.json``.

        Raises:
            InputError: it was measured on other images or under other conditions.
        """
        try:
            model, facts = record["models"][0], record["data"]
            conditions = [tuple(condition) for condition in record["conditions"]]
            errors = np.array(model["raw_errors"], dtype=np.float64)
        except (KeyError, IndexError, TypeError) as error:
            raise InputError(
                f"expected the evaluation.json of an earlier evaluation as reference, got one "
                f"without {error}: name a model or another file"
            ) from error
        if facts["digest"] != images_digest or not set(grid.conditions) <= set(conditions):
            raise InputError(
                f"the reference {model['name']} must have been measured on the same images and "
                "conditions, got others: evaluate it beside the model instead"
            )
        rows = [conditions.index(condition) for condition in grid.conditions]
        return cls(name=str(model["name"]), errors=errors[rows])


def corruption_errors_against(
    wrong: BoolArray,
    reference: Reference,
    grid: Grid,
    names: Sequence[str],
    times: IntArray,
) -> dict[str, Estimate]:
    """The mean corruption error and the relative one over some corruptions.

    Args:
        wrong: Wrong answers, shape (C, N), conditions of the grid.
        reference: What they are divided by.
        grid: The conditions.
        names: The corruptions, at least one.
        times: Redraws of the images, shape (R, N); the reference is redrawn with the model where
            both answered the same images.

    Returns:
        ``mce`` and ``relative_mce``; the value is None where the reference never errs under a
        corruption, or no more than on clean images.
    """
    rows = {name: grid.of([name]) for name in names}
    drawn = _rates(wrong, times)
    same = reference.wrong is None
    theirs = np.tile(reference.errors, (len(times), 1)) if same else _rates(reference.wrong, times)

    def mce(errors: FloatArray, other: FloatArray) -> float:
        return mean_corruption_error(_by_name(errors, rows), _by_name(other, rows))

    def relative(errors: FloatArray, other: FloatArray) -> float:
        return relative_mean_corruption_error(
            _by_name(errors, rows),
            _by_name(other, rows),
            clean_error=float(errors[0]),
            reference_clean_error=float(other[0]),
        )

    found = {}
    for metric, of in (("mce", mce), ("relative_mce", relative)):
        value = _defined(of, wrong.mean(axis=1), reference.errors)
        draws = [_defined(of, ours, other) for ours, other in zip(drawn, theirs, strict=True)]
        if value is None:
            found[metric] = Estimate(value=None)
        else:
            kept = np.array([np.nan if draw is None else draw for draw in draws])
            found[metric] = estimate(value, kept, lowest=-np.inf, highest=np.inf)
    return found


def _rates(wrong: BoolArray | None, times: IntArray) -> FloatArray:
    """Error rate under each condition in each redraw, shape (R, C)."""
    counted = np.asarray(wrong, dtype=np.float64)
    return np.asarray(np.clip(times @ counted.T / counted.shape[1], 0.0, 1.0))


def _by_name(errors: FloatArray, rows: Mapping[str, IntArray]) -> dict[str, FloatArray]:
    return {name: errors[positions] for name, positions in rows.items()}


def _defined(
    metric: Callable[[FloatArray, FloatArray], float], ours: FloatArray, theirs: FloatArray
) -> float | None:
    try:
        return metric(ours, theirs)
    except InputError:  # a reference that never errs has no ratio
        return None
