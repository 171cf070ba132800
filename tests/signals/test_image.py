"""What holds for all scalar signals together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.signals import (
    N_SCALARS,
    SIGNAL_NAMES,
    SIGNALS_VERSION,
    SPECTRUM_SHAPE,
    image_signals,
    read_signals,
)
from tests.signals.known import normal, photos, stored, uniform

N_ALL = N_SCALARS + SPECTRUM_SHAPE[0] * SPECTRUM_SHAPE[1]
# Whatever an image shows; logarithms of the spectrum and of ratios apart.
LIMITS = {
    "noise_correlation": (-6, 6),
    "noise_stripes": (-8, 8),
    "noise_tail": (-0.23, 5),
    "cast_red": (-1, 1),
    "cast_blue": (-1, 1),
    "blur_sigma": (0.3, 8),
    "blur_fine": (-3, 5),
    "blur_coarse": (-3, 5),
    "blur_cosine": (-1, 1),
    "blur_sine": (-1, 1),
    "blockiness": (-1, 4),
    "blockiness_shifted": (-1, 4),
    "pixel_block": (0, 3.6),
    "contrast_spread": (0, 4),
    **{f"spectrum_band_{k}": (-14, 12) for k in (1, 2, 3, 4)},
    "spectrum_peak": (0, 25),
}


def extremes(side: int) -> Tensor:
    """Images at which a careless formula breaks."""
    board = (torch.arange(side)[:, None] + torch.arange(side)) % 2
    dot = torch.zeros(side, side)
    dot[side // 2, side // 2] = 1.0
    half = (torch.arange(side) < side // 2).float().expand(side, side)
    ramp = torch.linspace(0, 1, side).expand(side, side)
    planes = torch.stack([board.float(), dot, 1 - dot, half, half.T, ramp, ramp.T])
    grey = planes[:, None].expand(-1, 3, -1, -1)
    red = torch.zeros(1, 3, side, side)
    red[:, 0] = 1.0
    return torch.cat([grey, red, uniform(2, 3, side, side), uniform(2, 3, side, side).round()])


def test_one_column_per_name() -> None:
    signals = image_signals(photos())
    assert signals.shape == (len(photos()), len(SIGNAL_NAMES))
    assert signals.dtype == np.float32
    assert len(set(SIGNAL_NAMES)) == len(SIGNAL_NAMES) == N_SCALARS
    assert 40 <= N_SCALARS <= 60


@pytest.mark.parametrize("side", [8, 9, 28, 32, 65, 130])
def test_every_signal_stays_within_its_limits(side: int) -> None:
    signals = image_signals(extremes(side))
    assert np.isfinite(signals).all()
    for k, name in enumerate(SIGNAL_NAMES):
        low, high = LIMITS.get(name, (0, 1.0001))
        assert low - 1e-6 <= signals[:, k].min(), name
        assert signals[:, k].max() <= high + 1e-6, name


@pytest.mark.parametrize("make", [torch.zeros, torch.ones, lambda *shape: torch.full(shape, 0.3)])
@pytest.mark.parametrize("size", [(8, 8), (8, 31), (9, 9), (28, 28), (65, 70), (200, 8)])
def test_constant_images_have_finite_signals_and_no_structure(
    make: Callable[..., Tensor], size: tuple[int, int]
) -> None:
    images = make(2, 3, *size)
    signals = dict(zip(SIGNAL_NAMES, image_signals(images)[0].tolist(), strict=True))
    level = images[0, 0, 0, 0].item()
    assert np.isfinite(list(signals.values())).all()
    assert signals["mean"] == pytest.approx(level, abs=1e-6)
    assert signals["border_share"] == 1.0
    assert signals["border_black_share"] == float(level == 0)
    for name in SIGNAL_NAMES:
        if name.startswith(("noise", "gradient", "salt", "pepper", "block", "jpeg", "pixel")):
            assert signals[name] == pytest.approx(0, abs=1e-6), name
        if name.startswith("spectrum_band"):
            assert signals[name] == pytest.approx(np.log(1e-6), abs=1e-3), name


@pytest.mark.parametrize("side", [8, 28, 33, 184])
def test_a_row_is_the_same_in_any_batch_to_the_last_bit(side: int) -> None:
    images = torch.cat([extremes(side)[::2], photos()[:6, :, :side, :side]])
    images = torch.cat([images, stored(images + 0.1 * normal(*images.shape))])
    together = read_signals(images)
    assert together.shape == (len(images), N_ALL)
    alone = np.concatenate([read_signals(images[i : i + 1]) for i in range(len(images))])
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(read_signals(images.flip(0))[::-1], together)
    sevens = np.concatenate([read_signals(images[i : i + 7]) for i in range(0, len(images), 7)])
    np.testing.assert_array_equal(sevens, together)


def test_pieces_of_a_large_batch_are_put_together_in_order() -> None:
    images = uniform(70, 3, 128, 128)  # more pixels than are worked on at once
    together = image_signals(images)
    np.testing.assert_array_equal(together[[0, 63, 64, 69]], image_signals(images[[0, 63, 64, 69]]))


def test_the_input_is_untouched_and_need_not_be_contiguous() -> None:
    images = photos().clone()
    signals = image_signals(images)
    assert torch.equal(images, photos())
    turned_round = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert not turned_round.is_contiguous()
    np.testing.assert_array_equal(image_signals(turned_round), signals)


@pytest.mark.parametrize("size", [(7, 8), (8, 7), (1, 100)])
def test_images_too_small_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"at least 8 px per side, got {size[0]}×{size[1]}"):
        image_signals(torch.zeros(1, 3, *size))


def test_the_values_are_those_on_which_gates_were_fitted() -> None:
    """A quicker way to a signal gives the same number: kept from when version 3 was set."""
    kept = json.loads((Path(__file__).parent / "known_values.json").read_text(encoding="utf-8"))
    noisy = stored(photos() + 0.1 * normal(*photos().shape))
    images = {
        "astronaut": photos()[0],
        "camera": photos()[1],
        "astronaut_with_noise": noisy[0],
    }
    assert SIGNALS_VERSION == 3
    for name, image in images.items():
        found = image_signals(image[None])[0]
        np.testing.assert_allclose(found, kept[name], rtol=2e-6, atol=2e-7, err_msg=name)
