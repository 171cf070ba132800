from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.corruptions.tone import Contrast, Dark
from gatekeeper.restorers import exposure
from gatekeeper.restorers.exposure import Exposure
from tests.contracts.restorer import RestorerContract

SEED = np.array([0])


def full_range(*, colour: bool) -> Tensor:
    """One 20×20 picture in 8 bit: 12 black pixels, 4 white ones, all tones between."""
    luma = torch.cat([torch.zeros(12), torch.linspace(0, 1, 384), torch.ones(4)])
    image = luma.reshape(1, 1, 20, 20).repeat(1, 3, 1, 1)
    if colour:  # moves red against blue: luminance, and with it both points, stay
        tint = 0.3 * torch.minimum(luma, 1 - luma).reshape(20, 20)
        image[0, 0] += tint
        image[0, 2] -= tint
    return (image * 255).round() / 255


class TestExposure(RestorerContract):
    def build(self) -> Exposure:
        return Exposure()

    @pytest.mark.parametrize("colour", [False, True])
    @pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
    def test_undoes_dark_up_to_quantisation(self, colour: bool, severity: int) -> None:
        image = full_range(colour=colour)
        dark = Dark()(image, severity=severity, seeds=SEED)
        restored = Exposure().restore(dark, seeds=SEED)
        # Rounding moves a pixel and the white point by half a code each, before the stretch.
        half_code = 0.5 / 255
        bound = 2 * half_code / (Dark.levels[severity - 1] - half_code)
        assert (restored - image).abs().max() <= bound + 1e-6
        assert (restored - image).abs().max() < 0.2 * (dark - image).abs().max()

    @pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
    def test_undoes_a_loss_of_contrast_too(self, severity: int) -> None:
        image = full_range(colour=False)
        grey = Contrast()(image, severity=severity, seeds=SEED)
        half_code = 0.5 / 255
        bound = 3 * half_code / (Contrast.levels[severity - 1] - 2 * half_code)
        restored = Exposure().restore(grey, seeds=SEED)
        assert (restored - image).abs().max() <= bound + 1e-6

    @pytest.mark.parametrize("colour", [False, True])
    def test_leaves_a_full_range_as_it_is(self, colour: bool) -> None:
        image = full_range(colour=colour)
        restored = Exposure().restore(image, seeds=SEED)
        torch.testing.assert_close(restored, image, rtol=0, atol=1e-6)

    def test_stretch_by_hand(self) -> None:
        # 201 grey pixels 0.20, 0.2025 … 0.70: rank 4 (2 % of 200) is 0.21, rank 199 is 0.6975.
        values = 0.2 + 0.0025 * torch.arange(201.0)
        restored = Exposure().restore(values.expand(1, 3, 1, 201), seeds=SEED)[0, 0, 0]
        expected = ((values - 0.21) / (0.6975 - 0.21)).clamp(0, 1)
        torch.testing.assert_close(restored, expected, rtol=0, atol=1e-5)
        assert restored[:4].tolist() == [0.0] * 4
        assert restored[-1] == 1.0

    def test_all_channels_share_one_gain(self) -> None:
        image = Dark()(full_range(colour=True), severity=2, seeds=SEED)
        restored = Exposure().restore(image, seeds=SEED)
        inside = ((restored > 0) & (restored < 1)).all(dim=1)[0]
        before = (image[0, 0] - image[0, 2])[inside]
        after = (restored[0, 0] - restored[0, 2])[inside]
        gain = after[before.abs() > 0] / before[before.abs() > 0]
        assert gain.numel() > 100
        torch.testing.assert_close(gain, torch.full_like(gain, 255 / 128), rtol=1e-3, atol=0)

    @pytest.mark.parametrize("spread", [0.0, 0.019])
    def test_a_nearly_flat_image_is_returned_as_it_is(self, spread: float) -> None:
        image = torch.linspace(0.4, 0.4 + spread, 100).expand(1, 3, 10, 100)
        assert torch.equal(Exposure().restore(image, seeds=SEED), image)

    def test_just_above_the_least_range_it_is_stretched(self) -> None:
        image = torch.linspace(0.4, 0.422, 1000).expand(1, 3, 10, 1000)
        restored = Exposure().restore(image, seeds=SEED)
        assert restored.min() == 0
        assert restored.max() == 1

    @pytest.mark.parametrize("constant", ["_BLACK_QUANTILE", "_WHITE_QUANTILE", "_LEAST_RANGE"])
    def test_digest_follows_the_constants(
        self, monkeypatch: pytest.MonkeyPatch, constant: str
    ) -> None:
        before = Exposure().digest
        monkeypatch.setattr(exposure, constant, 0.03)
        assert Exposure().digest != before
