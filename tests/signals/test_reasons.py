"""Known degradations are named, with their amount; good photographs are not."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from gatekeeper.errors import InputError
from gatekeeper.signals import SIGNAL_NAMES, read_signals
from gatekeeper.signals.reasons import MOST_SYMPTOMS, Symptom, reasons
from tests.signals.known import (
    PHOTOS,
    as_jpeg,
    blurred,
    moved,
    normal,
    photos,
    pixelated,
    stored,
    turned,
    with_impulses,
)


def symptoms(images: torch.Tensor) -> list[tuple[Symptom, ...]]:
    return [reasons(row) for row in read_signals(images)]


def texts(found: list[tuple[Symptom, ...]], code: str) -> list[str]:
    return [symptom.text for row in found for symptom in row if symptom.code == code]


def numbers(found: list[tuple[Symptom, ...]], code: str, place: int = 0) -> np.ndarray:
    return np.array([float(re.findall(r"[\d.]*\d", text)[place]) for text in texts(found, code)])


def test_good_photographs_have_no_symptoms() -> None:
    assert [row for row in symptoms(photos()) if row] == []


@pytest.mark.parametrize(
    ("side", "shrink", "false"),
    [(184, 1.0, 3), (96, 2.5, 3), (32, 7.0, 4), (28, 8.0, 4)],
)
def test_the_rate_of_false_reasons(side: int, shrink: float, false: int) -> None:
    # 15 images: the 12 above, a slide of cells out of focus, a clock that moved, and a moon whose
    # file shows blocks, which are there to be named. Shrunk to 32 px fine texture passes for noise.
    found = symptoms(photos(side, shrink, (*PHOTOS, "cell", "clock_motion", "moon")))
    assert sum(bool(row) for row in found) <= false


@pytest.mark.parametrize("sigma", [0.08, 0.12, 0.3])
def test_noise_is_named_with_its_sigma(sigma: float) -> None:
    found = symptoms(stored(photos() + sigma * normal(*photos().shape)))
    assert len(texts(found, "noise")) >= len(found) - 1  # the night sky clips half of it
    assert np.median(numbers(found, "noise")) == pytest.approx(sigma, abs=0.015)


def test_impulses_are_named_with_their_share() -> None:
    found = symptoms(with_impulses(photos(), 0.1))
    assert [row[0].code for row in found] == ["impulses"] * len(found)
    assert np.median(numbers(found, "impulses")) == pytest.approx(10, abs=2)


@pytest.mark.parametrize(("length", "degrees"), [(9, 30), (15, 60), (15, 90)])
def test_motion_blur_is_named_with_direction_and_length(length: int, degrees: int) -> None:
    found = symptoms(moved(photos(), length, degrees))
    assert len(texts(found, "motion_blur")) >= 0.75 * len(found)
    off = np.abs((numbers(found, "motion_blur") - degrees + 90) % 180 - 90)
    assert np.median(off) <= 10
    # Its length is known roughly: up to half as much again.
    assert np.median(numbers(found, "motion_blur", 1)) == pytest.approx(length, rel=0.5)


def test_blur_is_named_with_its_width() -> None:
    found = symptoms(blurred(photos(), 2.5))
    assert len(texts(found, "blur")) >= 0.6 * len(found)
    assert np.median(numbers(found, "blur")) == pytest.approx(2.5, rel=0.25)


@pytest.mark.parametrize("quality", [20, 50])
def test_jpeg_is_named_with_its_quality(quality: int) -> None:
    found = symptoms(as_jpeg(photos(), quality))
    assert len(texts(found, "jpeg")) >= 0.8 * len(found)
    assert np.median(numbers(found, "jpeg", 0)) == pytest.approx(quality, abs=10)


@pytest.mark.parametrize("block", [2, 4])
def test_low_resolution_is_named_with_the_size_of_its_blocks(block: int) -> None:
    found = symptoms(pixelated(photos(), block))
    assert len(texts(found, "low_resolution")) == len(found)
    assert np.median(numbers(found, "low_resolution")) == block


def test_exposure_contrast_and_haze() -> None:
    images = photos()
    grown = (images.clamp(0.1, 0.9) - 0.1) / 0.8
    for changed, code in (
        (images * 0.12, "underexposed"),
        (images * 0.2 + 0.8, "overexposed"),
        (images * 0.05 + 0.45, "low_contrast"),
        (grown * 0.3 + 0.65, "haze"),
    ):
        found = symptoms(stored(changed))
        assert len(texts(found, code)) >= 0.8 * len(found), code


def test_black_corners_are_named() -> None:
    found = symptoms(turned(photos(), 10))
    assert len(texts(found, "black_borders")) == len(found)
    assert texts(found, "impulses") == []


def test_a_mirrored_border_is_named() -> None:
    images = photos(names=("brick", "grass", "gravel"))
    mirrored = torch.cat([images[..., :9].flip(3), images[..., :-9]], dim=3)
    assert len(texts(symptoms(mirrored), "mirrored_border")) == 3


def test_a_wave_is_named() -> None:
    wave = 0.3 * torch.sin(torch.arange(184) * 2 * torch.pi / 8).expand(184, 184)
    found = symptoms(stored(photos() + wave))
    assert len(texts(found, "periodic_noise")) == len(found)


def test_at_most_three_and_the_strongest_first() -> None:
    row = read_signals(photos()[:1])[0]
    assert reasons(row) == ()
    for name, value in {
        "jpeg_loss": 0.7,  # 0.55 of 0.65: 0.846
        "pixel_block": 1.875,  # half of its way
        "border_mirror": 0.72,  # a fifth
        "high_quantile": 0.34,
        "noise_sigma": 0.36,
        "noise_correlation": 0.0,  # a score of 0.9: all of its way
    }.items():
        row[SIGNAL_NAMES.index(name)] = value
    found = reasons(row)
    assert len(found) == MOST_SYMPTOMS
    assert [symptom.code for symptom in found] == ["noise", "jpeg", "low_resolution"]
    np.testing.assert_allclose([symptom.strength for symptom in found], [1, 0.55 / 0.65, 0.5])
    assert [symptom.text for symptom in found] == [
        "noise, sigma ≈ 0.36",
        "JPEG blocks, quality about 20",
        "low resolution, blocks of about 4 px",
    ]


def test_drawings_are_not_judged_as_photographs() -> None:
    strokes = torch.zeros(1, 3, 28, 28)
    strokes[..., 6:22, 12:14] = 1.0
    strokes[..., 6:8, 8:20] = 1.0
    codes = {symptom.code for symptom in symptoms(strokes)[0]}
    assert codes.isdisjoint({"impulses", "low_resolution", "mirrored_border", "motion_blur"})


def test_rows_are_refused_together() -> None:
    with pytest.raises(InputError, match="expected one row"):
        reasons(read_signals(torch.rand(2, 3, 16, 16)))
    with pytest.raises(InputError, match="rows of at least"):
        reasons(np.zeros(5))
