"""Noise of known kind is named so."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from scipy import ndimage

from gatekeeper.errors import InputError
from gatekeeper.signals import N_SCALARS, SIGNAL_NAMES, image_signals, read_signals
from gatekeeper.signals.noise_types import NoiseType, noise_type_scores, noise_types
from tests.signals.known import normal, photos, stored, with_impulses

KINDS = list(NoiseType)


def with_wave(images: torch.Tensor, amplitude: float, across: int, down: int) -> torch.Tensor:
    side = images.shape[3]
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    turns = (across * x + down * y) / side
    return stored(images + amplitude * torch.sin(2 * torch.pi * turns + 0.7))


def struck(images: torch.Tensor, kind: NoiseType, strength: float) -> torch.Tensor:
    if kind is NoiseType.GAUSSIAN:
        return stored(images + strength * normal(*images.shape))
    if kind is NoiseType.IMPULSE:
        return with_impulses(images, strength)
    if kind is NoiseType.PERIODIC:
        return with_wave(images, 2 * strength, images.shape[3] // 4, images.shape[3] // 5)
    noise = ndimage.gaussian_filter(normal(*images.shape).numpy(), (0, 0, 0, 2))
    return stored(images + strength * torch.from_numpy(noise / noise.std()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_is_named(kind: NoiseType) -> None:
    found = Counter(noise_types(read_signals(struck(photos(), kind, 0.1))))
    # Smooth noise on fine texture is the hardest to name.
    assert found[kind] >= (0.5 if kind is NoiseType.CORRELATED else 0.8) * len(photos())


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_grows_with_the_noise(kind: NoiseType) -> None:
    column = KINDS.index(kind)
    scores = [
        noise_type_scores(read_signals(struck(photos(), kind, strength)))[:, column]
        for strength in (0.01, 0.05, 0.2)
    ]
    assert np.median(scores[0]) < np.median(scores[1]) < np.median(scores[2])
    assert (scores[2] >= scores[0]).all()


def test_photographs_have_no_noise_to_name() -> None:
    assert noise_types(image_signals(photos())) == (None,) * len(photos())
    scores = noise_type_scores(image_signals(photos()))
    assert scores.shape == (len(photos()), 4)
    assert scores.min() >= 0
    assert scores.max() < 0.5


def test_scores_by_hand() -> None:
    row = np.zeros((1, N_SCALARS))
    assert noise_type_scores(row).tolist() == [[0, 0, 0, 0]]
    for name, value in (("noise_sigma", 0.04), ("noise_luma", 0.04), ("salt_share", 0.02)):
        row[0, SIGNAL_NAMES.index(name)] = value
    np.testing.assert_allclose(noise_type_scores(row), [[0.5, 0.5, 0, 0]])
    row[0, SIGNAL_NAMES.index("noise_correlation")] = 0.25 + np.log(2) / 2
    edge = 0.04 * np.exp(0.25) * np.sqrt(2)
    np.testing.assert_allclose(
        noise_type_scores(row), [[0.25, 0.5, 0, 0.5 * edge / (edge + 0.04)]], rtol=1e-6
    )


@pytest.mark.parametrize("shape", [(N_SCALARS,), (2, N_SCALARS - 1)])
def test_what_is_no_rows_of_signals_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="rows of at least"):
        noise_type_scores(np.zeros(shape))
