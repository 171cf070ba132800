"""What a fit leaves out."""

from __future__ import annotations

import torch

from gatekeeper.fitting import symptom_limits, too_few_to_learn
from gatekeeper.signals import read_signals
from gatekeeper.signals.reasons import reasons


def test_symptom_limits_by_hand() -> None:
    """200 images, of which 5 are black and one is half as dark: limits spare 99 of 100."""
    grey = torch.full((194, 3, 16, 16), 0.5)
    dark = torch.stack([torch.full((3, 16, 16), value) for value in (0, 0, 0, 0, 0, 0.1)])
    signals = read_signals(torch.cat([grey, dark]))
    strengths = sorted(
        (s.strength for row in signals for s in reasons(row) if s.code == "underexposed"),
        reverse=True,
    )
    assert symptom_limits(signals)["underexposed"] == strengths[2]
    assert "underexposed" not in symptom_limits(read_signals(torch.cat([grey, dark[:2]])))


def test_with_fewer_than_500_calibrate_images_nothing_is_learned() -> None:
    assert too_few_to_learn(500) is None
    assert "at least 500 calibrate images, got 499" in too_few_to_learn(499)
