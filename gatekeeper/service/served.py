"""What the service needs of a gatekeeper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

from gatekeeper.decision import Decision


class ServedGatekeeper(Protocol):
    """What the service needs of ``gatekeeper.pipeline.Gatekeeper``."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Length K; position = label."""
        ...

    @property
    def model_id(self) -> str:
        """Identity of the classifier."""
        ...

    @property
    def calibration_id(self) -> str:
        """Identity of the bundle."""
        ...

    @property
    def certificate(self) -> Mapping[str, Any]:
        """At least certified, target_risk and confidence_level."""
        ...

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that images are brought to at the door."""
        ...

    def decide(self, images: Tensor, /) -> list[Decision]:
        """Decide a batch, shape (B, 3, H, W), float32, RGB, in [0, 1]."""
        ...

    def canary(self) -> Decision:
        """Decide a fixed image, to prove that deciding works."""
        ...


Load = Callable[[], ServedGatekeeper]
