"""The real gatekeeper is what the service needs."""

from __future__ import annotations

from gatekeeper.pipeline import Gatekeeper
from gatekeeper.service import ServedGatekeeper
from tests.small_gate import small


def test_a_gatekeeper_fits() -> None:
    served: ServedGatekeeper = Gatekeeper(small().result.fitted, "c" * 64)
    for name in ("class_names", "model_id", "calibration_id", "certificate", "image_size"):
        assert getattr(served, name)
    assert callable(served.decide)
    assert callable(served.canary)
