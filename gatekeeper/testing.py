"""Doubles that ship: a classifier, a restorer and a calibrator whose answers are declared.

They fit the seams of :mod:`gatekeeper.protocols`, so that a gate, a service or a plug-in can be
tried without weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.protocols import LogitsKind, Look
from gatekeeper.types import BoolArray, FloatArray, IntArray

__all__ = ["ConstantReliability", "FakeClassifier", "IdentityRestorer"]

_LEVELS = 255


class FakeClassifier:
    """Answers with declared logits, by the mean value of an image.

    Args:
        logits_of: Mean value of an image, in [0, 1] -> K logits; or a table from the mean's
            nearest 8-bit level, 0…255, to K logits.
        class_names: Length K; position = label.
        features_of: Mean value of an image -> F features; None gives none.
        kind: What the declared numbers are.
        model_id: Name under which the classifier is known; the digest follows it.

    Attributes:
        n_looked: Images looked at so far.

    Example:
        >>> import torch
        >>> fake = FakeClassifier(lambda mean: [mean, 1.0 - mean], class_names=["light", "dark"])
        >>> fake.look(torch.full((1, 3, 8, 8), 0.25)).logits.tolist()
        [[0.25, 0.75]]
    """

    def __init__(
        self,
        logits_of: Callable[[float], Sequence[float]] | Mapping[int, Sequence[float]],
        *,
        class_names: Sequence[str],
        features_of: Callable[[float], Sequence[float]] | None = None,
        kind: LogitsKind = "logits",
        model_id: str = "fake",
    ) -> None:
        self._logits_of = logits_of
        self._features_of = features_of
        self._kind: LogitsKind = kind
        self._class_names = tuple(class_names)
        self._model_id = model_id
        self.n_looked = 0

    @property
    def model_id(self) -> str:
        """Name under which the classifier is known."""
        return self._model_id

    @property
    def class_names(self) -> tuple[str, ...]:
        """Length K; position = label."""
        return self._class_names

    @property
    def digest(self) -> str:
        """sha256 over name and classes: a changed answer is declared by a changed name."""
        facts = json.dumps([self._model_id, self._class_names])
        return hashlib.sha256(facts.encode()).hexdigest()

    def look(self, images: Tensor) -> Look:
        """(B, 3, H, W) in [0, 1] -> the declared logits (B, K) and features (B, F).

        Raises:
            InputError: an image's level is not in the table, or there is not one number per class.
        """
        means = [float(image.double().mean()) for image in images]
        n_classes = len(self._class_names)
        logits = [list(self._declared(mean)) for mean in means]
        if any(len(row) != n_classes for row in logits):
            raise InputError(
                f"expected {n_classes} declared logits, one per class name, got "
                f"{sorted({len(row) for row in logits})}"
            )
        features = None
        if self._features_of is not None:
            features = np.array([self._features_of(mean) for mean in means], dtype=np.float32)
        self.n_looked += len(images)
        return Look(
            logits=np.array(logits, dtype=np.float32).reshape(len(images), n_classes),
            kind=self._kind,
            features=features,
        )

    def _declared(self, mean: float) -> Sequence[float]:
        if callable(self._logits_of):
            return self._logits_of(mean)
        level = round(mean * _LEVELS)
        if level not in self._logits_of:
            raise InputError(
                f"expected an image with a mean level among {sorted(self._logits_of)}, got "
                f"{level}: declare its logits"
            )
        return self._logits_of[level]


class IdentityRestorer:
    """Returns every image as it is, under any name.

    Args:
        name: Name under which the router knows it.
    """

    def __init__(self, name: str = "identity") -> None:
        self._name = name

    @property
    def name(self) -> str:
        """Name under which the router knows it."""
        return self._name

    @property
    def digest(self) -> str:
        """sha256 over the name."""
        return hashlib.sha256(f"double {self._name}".encode()).hexdigest()

    def restore(self, images: Tensor, *, seeds: IntArray, mask: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> an equal copy.

        Raises:
            InputError: a mask is given (nothing is filled).
        """
        if mask is not None:
            raise InputError("the identity fills no holes: leave out the mask")
        del seeds  # deterministic
        return images.clone()


class ConstantReliability:
    """A calibrator that trusts every answer alike.

    Args:
        value: The reliability of every answer, in [0, 1].

    Raises:
        InputError: the value is no probability.
    """

    def __init__(self, value: float) -> None:
        if not 0.0 <= value <= 1.0:
            raise InputError(f"reliability must be a probability in [0, 1], got {value}")
        self.value = value

    def fit(
        self, scores: FloatArray, correct: BoolArray, *, context: FloatArray | None = None
    ) -> Self:
        """Learn nothing."""
        del scores, correct, context
        return self

    def reliability(self, scores: FloatArray, *, context: FloatArray | None = None) -> FloatArray:
        """The declared value for each of N scores, shape (N,)."""
        del context
        return np.full(len(scores), self.value)

    def state(self) -> dict[str, FloatArray]:
        """The declared value as an array."""
        return {"value": np.array(self.value)}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`."""
        return cls(float(state["value"]))
