from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.corruptions import CORRUPTIONS, TabulatedCorruption, store_8_bit
from gatekeeper.errors import InputError
from tests.contracts.corruption import SEEDS, smooth_images

TABLES = {
    "gaussian": (0.08, 0.14, 0.2, 0.3, 0.4),
    "impulse": (0.03, 0.06, 0.1, 0.15, 0.22),
    "periodic": (0.1, 0.15, 0.2, 0.3, 0.4),
    "gaussian_blur": (0.6, 0.9, 1.2, 1.6, 2.0),
    "dark": (0.7, 0.5, 0.35, 0.25, 0.15),
    "contrast": (0.7, 0.5, 0.35, 0.25, 0.15),
    "horizontal_shift": (1, 2, 3, 4, 6),
    "speckle": (0.2, 0.35, 0.5, 0.7, 0.9),
}


def test_the_demos_severity_tables_are_the_declared_ones() -> None:
    assert {name: CORRUPTIONS[name].levels for name in TABLES} == TABLES


def test_storing_clips_and_rounds() -> None:
    values = torch.tensor([-0.3, 0.0, 0.4 / 255, 0.6 / 255, 100.2 / 255, 1.0, 1.7])
    expected = torch.tensor([0.0, 0.0, 0.0, 1 / 255, 100 / 255, 1.0, 1.0])
    torch.testing.assert_close(store_8_bit(values), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("corruption", list(CORRUPTIONS.values()), ids=list(CORRUPTIONS))
def test_a_level_per_image_equals_a_call_per_image(corruption: TabulatedCorruption) -> None:
    images = smooth_images()
    levels = torch.tensor([corruption.levels[i] for i in (4, 0, 2, 1, 3)])
    together = corruption.at(images, level=levels, seeds=SEEDS)
    for i, level in enumerate(levels.tolist()):
        alone = corruption.at(images[i : i + 1], level=level, seeds=SEEDS[i : i + 1])
        assert torch.equal(together[i : i + 1], alone)


@pytest.mark.parametrize("corruption", list(CORRUPTIONS.values()), ids=list(CORRUPTIONS))
def test_a_tabulated_level_equals_its_severity(corruption: TabulatedCorruption) -> None:
    images = smooth_images()
    for severity, level in enumerate(corruption.levels, 1):
        assert torch.equal(
            corruption.at(images, level=level, seeds=SEEDS),
            corruption(images, severity=severity, seeds=SEEDS),
        )


# These colour what is grey: a red tint, pale water and brown mud.
COLOURING = {"camera", "saturate", "spatter"}


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - COLOURING))
def test_grey_images_stay_grey(name: str) -> None:
    corrupted = CORRUPTIONS[name](smooth_images(), severity=4, seeds=SEEDS)
    for row in (0, 1):
        assert torch.equal(corrupted[row], corrupted[row, :1].expand(3, -1, -1))


@pytest.mark.parametrize("name", ["gaussian", "impulse", "speckle"])
def test_colour_channels_are_disturbed_independently(name: str) -> None:
    corruption = CORRUPTIONS[name]
    images = torch.tensor([0.4, 0.5, 0.6])[None, :, None, None].expand(1, 3, 60, 60)
    level = torch.full((1, 1, 1, 1), corruption.levels[2])
    change = corruption.degrade(images, level, np.array([6])) - images
    correlation = np.corrcoef(change[0].flatten(1).numpy())
    assert np.abs(correlation - np.eye(3)).max() < 5 / 60


@pytest.mark.parametrize("levels", [[0.1, 0.2], [[0.1] * 5]])
def test_one_level_per_image(levels: list[object]) -> None:
    with pytest.raises(InputError, match="one level, or one per image, got 5 seeds and levels of"):
        CORRUPTIONS["gaussian"].at(smooth_images(), level=torch.tensor(levels), seeds=SEEDS)
