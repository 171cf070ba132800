"""Exposure, contrast, colour and haze, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.signals.tone import TONE_NAMES
from tests.signals.known import grey, photos, read, read_all, stored


def test_tone_by_hand() -> None:
    # 10×10: 7 black pixels, 90 of ten levels 51, 63, … 159, 3 white.
    steps = (51 + 12 * torch.arange(10.0)).repeat_interleave(9) / 255
    values = torch.cat([torch.zeros(7), steps, torch.ones(3)])
    order = torch.randperm(100, generator=torch.Generator().manual_seed(1))
    image = grey(values[order].reshape(10, 10))
    expected = {
        "mean": (9 * (10 * 51 + 12 * 45) / 255 + 3) / 100,
        "contrast": values.double().numpy().std(),
        # 7 black and 9 to a level: the 50th value is the last but … of the fifth level.
        "median": (51 + 12 * 4) / 255,
        "low_quantile": 0.0,
        "high_quantile": 1.0,
        "black_share": 0.07,
        "white_share": 0.03,
        "levels": np.log2(12) / 8,
        "chroma": 0.0,
        "saturation": 0.0,
        "cast_red": 0.0,
        "cast_blue": 0.0,
    }
    for name, value in expected.items():
        assert read(image, name)[0] == pytest.approx(value, abs=1e-6), name


def test_quantiles_by_hand() -> None:
    image = grey(torch.arange(200.0).repeat(8).reshape(8, 200) / 255)
    # The level at which at least that share of the pixels is reached.
    assert read(image, "low_quantile")[0] == pytest.approx(3 / 255, abs=1e-6)
    assert read(image, "median")[0] == pytest.approx(99 / 255, abs=1 / 255 + 1e-6)
    assert read(image, "high_quantile")[0] == pytest.approx(195 / 255, abs=1 / 255 + 1e-6)


def test_the_subsample_of_a_large_image_sees_all_columns() -> None:
    stripes = torch.zeros(512, 512)
    stripes[:, ::64] = 1.0  # 1.6 % of the pixels, in those columns that a step of 64 visits
    assert read(grey(stripes), "high_quantile")[0] == 0.0
    assert read(grey(stripes), "white_share")[0] == pytest.approx(1 / 64, rel=0.05)
    stripes[:, ::16] = 1.0  # 6.3 %
    assert read(grey(stripes), "high_quantile")[0] == 1.0


def test_colour_by_hand() -> None:
    image = torch.tensor([0.8, 0.4, 0.2])[None, :, None, None].expand(1, 3, 12, 12)
    expected = {
        "cast_red": 0.4,
        "cast_blue": -0.2,
        "saturation": 0.6 / 0.85,
        # Mean 1.4 / 3.
        "chroma": (abs(0.8 - 1.4 / 3) + abs(0.4 - 1.4 / 3) + abs(0.2 - 1.4 / 3)) / 3,
        "mean": 0.299 * 0.8 + 0.587 * 0.4 + 0.114 * 0.2,
        "dark_channel": 0.2,
        "bright_channel": 0.8,
    }
    for name, value in expected.items():
        assert read(image, name)[0] == pytest.approx(value, abs=1e-6), name


def test_the_dark_channel_is_the_smallest_value_nearby() -> None:
    image = torch.full((1, 3, 16, 16), 0.7)
    image[:, 1, 1, 2] = 0.1  # one of 16 patches
    image[:, 2, 9, 9] = 0.3
    assert read(image, "dark_channel")[0] == pytest.approx((14 * 0.7 + 0.1 + 0.3) / 16)
    assert read(1 - image, "bright_channel")[0] == pytest.approx((14 * 0.3 + 0.9 + 0.7) / 16)


def test_posterising_leaves_few_levels() -> None:
    coarse = (photos().mean(dim=1, keepdim=True) * 3).round() / 3
    values = read(coarse.expand(-1, 3, -1, -1).contiguous(), "levels")
    assert (values <= np.log2(4) / 8 + 1e-6).all()
    assert (read(photos(), "levels") > 0.6).all()


def test_exposure_contrast_and_haze_change_by_the_factor() -> None:
    before = read_all(photos())
    for factor in (0.7, 0.15):
        darker = read_all(stored(photos() * factor))
        for name in ("mean", "median", "high_quantile", "dark_channel", "bright_channel"):
            np.testing.assert_allclose(darker[name], before[name] * factor, atol=1 / 255)
        hazy = read_all(stored(photos() * factor + 0.8 * (1 - factor)))
        expected = before["dark_channel"] * factor + 0.8 * (1 - factor)
        np.testing.assert_allclose(hazy["dark_channel"], expected, atol=1 / 255)
        np.testing.assert_allclose(hazy["contrast"], before["contrast"] * factor, atol=1 / 255)


def test_clipping_shows_in_the_shares() -> None:
    bright, dark = stored(photos() + 0.5), stored(photos() - 0.5)
    for images, name, limit in ((bright, "white_share", 1.0), (dark, "black_share", 0.0)):
        # 601 weights: white only where all channels are.
        clipped = (images == limit).all(dim=1).float().mean(dim=(1, 2)).numpy()
        np.testing.assert_allclose(read(images, name), clipped, atol=0.04)


def test_names_are_in_the_order_of_the_values() -> None:
    assert TONE_NAMES[:2] == ("mean", "contrast")
    assert len(TONE_NAMES) == 14
