from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.corruptions.tone import Contrast, Dark
from tests.contracts.corruption import CorruptionContract

SEED = np.array([1])
ALL_256 = (torch.arange(256) / 255).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
CODES = np.arange(256).reshape(16, 16)


class TestDark(CorruptionContract):
    name = "dark"

    @pytest.mark.parametrize(
        ("severity", "factor"), list(enumerate((0.7, 0.5, 0.35, 0.25, 0.15), 1))
    )
    def test_every_code_times_the_factor(self, severity: int, factor: float) -> None:
        dark = Dark()(ALL_256, severity=severity, seeds=SEED)[0, 0].double().numpy() * 255
        # 0.5 + 1e-4: a code that lands half-way may round either way in float32.
        assert np.abs(dark - CODES * factor).max() <= 0.5 + 1e-4
        assert dark[-1, -1] == pytest.approx(round(255 * factor), abs=1e-4)


class TestContrast(CorruptionContract):
    name = "contrast"

    @pytest.mark.parametrize(
        ("severity", "factor"), list(enumerate((0.7, 0.5, 0.35, 0.25, 0.15), 1))
    )
    def test_distance_from_mid_grey_times_the_factor(self, severity: int, factor: float) -> None:
        grey = Contrast()(ALL_256, severity=severity, seeds=SEED)[0, 0].double().numpy() * 255
        assert np.abs(grey - (127.5 + (CODES - 127.5) * factor)).max() <= 0.5 + 1e-4
