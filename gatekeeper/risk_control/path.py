"""The path of thresholds that is walked from strict to lenient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.types import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ThresholdPath:
    """Both thresholds of the policy, step by step, in testing order: strict to lenient.

    Attributes:
        raw: Shape (M,), reliability from which a raw answer is accepted, never increasing.
        restored: Shape (M,), reliability from which an answer kept after restoration was tried
            is accepted, never increasing. A threshold above 1 accepts nothing.

    Raises:
        InputError: shapes differ, M is 0, or a threshold is negative, NaN or rises along the path.
    """

    raw: FloatArray
    restored: FloatArray

    def __post_init__(self) -> None:
        """Check, copy and lock both arrays."""
        for name in ("raw", "restored"):
            object.__setattr__(self, name, _falling(getattr(self, name), name=name))
        if self.raw.shape != self.restored.shape:
            raise InputError(
                f"a path needs as many raw as restored thresholds, got {len(self.raw)} and "
                f"{len(self.restored)}"
            )

    def __len__(self) -> int:
        """Number of steps M."""
        return len(self.raw)

    def starting_at(self, index: int) -> Self:
        """The path without its first ``index`` steps.

        Args:
            index: In 0…M-1, for example from :func:`starting_point`.

        Raises:
            InputError: the index is outside the path.
        """
        if not 0 <= index < len(self):
            raise InputError(f"expected a step in 0…{len(self) - 1}, got {index}")
        return type(self)(raw=self.raw[index:], restored=self.restored[index:])


def _falling(thresholds: npt.ArrayLike, *, name: str) -> FloatArray:
    """A locked copy of thresholds that never rise."""
    values = np.array(thresholds, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"{name} must have shape (M,) with M at least 1, got {values.shape}")
    if not np.all(values >= 0.0):
        raise InputError(f"{name} thresholds must be at least 0, got {values.min():g}")
    if np.any(values[1:] > values[:-1]):
        step = int(np.argmax(values[1:] > values[:-1])) + 1
        raise InputError(
            f"{name} thresholds must go from strict to lenient, got a rise from "
            f"{values[step - 1]:g} to {values[step]:g} at step {step}"
        )
    values.flags.writeable = False
    return values
