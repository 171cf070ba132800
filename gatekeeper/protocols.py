"""The seams: what a classifier, restorer, predictor, calibrator and corruption must do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.types import BoolArray, FloatArray, IntArray, StrArray

if TYPE_CHECKING:
    from torch import Tensor

LogitsKind = Literal["logits", "log_probabilities"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a classifier returns for a batch in one pass.

    Attributes:
        logits: Shape (B, K), float32; see ``kind``. Never probabilities.
        kind: ``"logits"`` (before softmax) or ``"log_probabilities"`` (a remote that only gives
            probabilities); declared by the classifier, never guessed from values.
        features: Shape (B, F), float32, or None where the classifier exposes none.
    """

    logits: FloatArray
    kind: LogitsKind
    features: FloatArray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known about B looks; the only input of a reliability predictor.

    Attributes:
        logits: Shape (B, K).
        logits_kind: ``"logits"`` or ``"log_probabilities"``.
        features: Shape (B, F), or None.
        signals: Shape (B, D), in the order of ``gatekeeper.signals.SIGNAL_NAMES``.
        probes: Shape (B, P); P is 0 where no probe is configured.
        seeds: Shape (B,), each derived from the run seed and the image digest.
        restorer: Shape (B,), name of the restorer per row ("" for a raw look).
        raw: Evidence of the first look, row by row, when these are looks at restored images.
        images: Shape (B, 3, H, W), or None when the evidence is replayed from the table.
    """

    logits: FloatArray
    logits_kind: LogitsKind
    features: FloatArray | None
    signals: FloatArray
    probes: FloatArray
    seeds: IntArray
    restorer: StrArray
    raw: Evidence | None = None
    images: Tensor | None = None

    def __post_init__(self) -> None:
        """Refuse rows that do not line up."""
        for name in ("features", "signals", "probes", "seeds", "restorer"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.logits):
                raise InputError(
                    f"evidence must have one row per look: logits have {len(self.logits)}, "
                    f"{name} has {len(value)}"
                )
        if self.raw is not None and len(self.raw) != len(self):
            raise InputError(
                f"raw evidence must have one row per restored look: {len(self)} restored, "
                f"{len(self.raw)} raw"
            )

    def __len__(self) -> int:
        """Number of looks B."""
        return len(self.logits)

    @property
    def labels(self) -> IntArray:
        """The classifier's answers, shape (B,)."""
        return np.asarray(np.argmax(self.logits, axis=1))

    def after(self, first: Evidence) -> Evidence:
        """The same looks with the first look at each image beside them."""
        return replace(self, raw=first)

    def take(self, rows: IntArray | BoolArray) -> Evidence:
        """The evidence of some rows (index or mask), in that order; images are dropped."""
        changes = {
            f.name: getattr(self, f.name)[rows]
            for f in fields(self)
            if f.name in {"logits", "signals", "probes", "seeds", "restorer"}
        }
        return replace(
            self,
            **changes,
            features=None if self.features is None else self.features[rows],
            raw=None if self.raw is None else self.raw.take(rows),
            images=None,
        )


@runtime_checkable
class Classifier(Protocol):
    """Answers K-way questions about images; owns its resizing and normalisation."""

    @property
    def model_id(self) -> str:
        """Name under which the classifier is known."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Length K; position = label."""
        ...

    @property
    def digest(self) -> str:
        """sha256 over weights and preprocessing: what a certificate speaks about."""
        ...

    def look(self, images: Tensor) -> Look:
        """(B, 3, H, W) in [0, 1] -> logits, their kind and features, in one pass."""
        ...


@runtime_checkable
class Restorer(Protocol):
    """Undoes a degradation: same shape, same range, input untouched."""

    @property
    def name(self) -> str:
        """Name under which the router knows it."""
        ...

    @property
    def digest(self) -> str:
        """sha256 over everything that determines its output."""
        ...

    def restore(self, images: Tensor, *, seeds: IntArray, mask: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W) in [0, 1]; a row depends on its own image and seed only."""
        ...


@runtime_checkable
class WeightedRestorer(Restorer, Protocol):
    """A restorer with trained weights: a bundle and a record store it as tensors and JSON."""

    def state(self) -> dict[str, Tensor]:
        """Everything trained, as plain tensors on the CPU."""
        ...

    def config(self) -> dict[str, Any]:
        """What the networks are built from, JSON-ready."""
        ...

    @classmethod
    def from_state(
        cls, state: Mapping[str, Tensor], config: Mapping[str, Any], *, device: str | None = None
    ) -> Self:
        """Rebuild from :meth:`state` and :meth:`config`.

        Raises:
            BundleError: they do not fit one another.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBatch:
    """What a restorer in training is shown in one step.

    Attributes:
        clean: Shape (B, 3, H, W), in [0, 1].
        degraded: The same images degraded, same shape and range.
        labels: True class per image, shape (B,), or None where there are none.
        seeds: Shape (B,); all randomness of the step comes from them.
        mask: Shape (B, 1, H, W), 1 where a pixel is known and 0 in holes; None without holes.
        unlabelled: Shape (U, 3, H, W), in [0, 1]: noisy images of the target domain of which no
            clean version is known; None where the method does without.
    """

    clean: Tensor
    degraded: Tensor
    labels: IntArray | None
    seeds: IntArray
    mask: Tensor | None = None
    unlabelled: Tensor | None = None


@runtime_checkable
class RestorerTraining(Protocol):
    """A restorer in training; its whole state is plain tensors, so that it can be resumed."""

    def step(self, batch: TrainingBatch) -> float:
        """One optimiser step; returns its loss.

        Raises:
            TrainingError: the loss is not finite.
        """
        ...

    def state(self) -> dict[str, Tensor]:
        """Networks, moving averages, optimiser and the number of steps done."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a kept state."""
        ...

    def export(self) -> WeightedRestorer:
        """The frozen restorer; what only training needs is dropped."""
        ...


@runtime_checkable
class ReliabilityPredictor(Protocol):
    """Orders answers by how likely they are right; higher is more reliable; not a probability."""

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """Learn from looks (B rows) and the true class of each (B,)."""
        ...

    def score(self, evidence: Evidence) -> FloatArray:
        """(B,) scores, higher is more reliable."""
        ...


@runtime_checkable
class Calibrator(Protocol):
    """Turns scores into probabilities of being right; keeps their order at a fixed context."""

    def fit(
        self, scores: FloatArray, correct: BoolArray, *, context: FloatArray | None = None
    ) -> Self:
        """Learn from scores (N,) and outcomes (N,); context is (N, C) or None."""
        ...

    def reliability(self, scores: FloatArray, *, context: FloatArray | None = None) -> FloatArray:
        """(N,) in [0, 1]."""
        ...

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters as plain arrays."""
        ...

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`."""
        ...


@runtime_checkable
class LogitScaler(Protocol):
    """Turns logits into class probabilities that mean what they say."""

    def fit(self, logits: FloatArray, labels: IntArray) -> Self:
        """Learn from logits (N, K) and true classes (N,)."""
        ...

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """(N, K), rows sum to 1."""
        ...


@runtime_checkable
class Corruption(Protocol):
    """A synthetic degradation with a name, families and five severities."""

    @property
    def name(self) -> str:
        """Unique name; key of the family table."""
        ...

    @property
    def families(self) -> tuple[str, ...]:
        """All fine families that it belongs to; a composition has several."""
        ...

    def __call__(self, images: Tensor, *, severity: int, seeds: IntArray) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W) in [0, 1]; severity 1…5; a row depends on its seed only."""
        ...

    def at_severity(self, images: Tensor, *, severity: float | Tensor, seeds: IntArray) -> Tensor:
        """The same between the tabulated severities: one number in 0.5…5.5, or one per image."""
        ...

    def table_for(self, height: int, width: int) -> Any:  # noqa: ANN401  # JSON-ready
        """Everything that sets the strength of the severities at that size; part of cache keys."""
        ...
