from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.corruptions import CORRUPTIONS, TabulatedCorruption, store_8_bit
from gatekeeper.corruptions.base import interpolate_rows, length_scale
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


ROWS = ((1.0, 10.0), (2.0, 20.0), (4.0, 20.0), (8.0, 0.0), (9.0, 5.0))


@pytest.mark.parametrize(
    ("severity", "row"),
    [
        (1.0, (1, 10)),
        (2.25, (2.5, 20)),
        (3.5, (6, 10)),
        (5.0, (9, 5)),
        (0.5, (0.5, 5)),  # along the line through 1 and 2
        (5.5, (9.5, 7.5)),  # along the line through 4 and 5
    ],
)
def test_rows_are_interpolated_linearly(severity: float, row: tuple[float, ...]) -> None:
    got = interpolate_rows(ROWS, torch.tensor([severity, 1.0], dtype=torch.float64))
    assert got.tolist() == [list(row), [1, 10]]


@pytest.mark.parametrize(("severity", "row"), [(3.49, (4, 20)), (3.5, (8, 0)), (4.5, (8.5, 2.5))])
def test_rows_of_two_regimes_do_not_mix(severity: float, row: tuple[float, ...]) -> None:
    regimes = (0, 0, 0, 1, 1)
    got = interpolate_rows(ROWS, torch.tensor([severity], dtype=torch.float64), regimes)
    assert got.tolist() == [list(row)]


@pytest.mark.parametrize(
    ("height", "width", "scale"),
    [(32, 32, 1), (63, 500, 1), (64, 64, 64 / 224), (300, 112, 0.5), (224, 224, 1), (512, 400, 1)],
)
def test_lengths_scale_with_the_shorter_side(height: int, width: int, scale: float) -> None:
    assert length_scale(height, width) == scale


def test_tables_by_size() -> None:
    glass = CORRUPTIONS["glass_blur"].table_for(112, 200)
    assert glass["parameters"] == ["sigma_px", "reach_px", "passes"]
    assert glass["rows"][4] == [0.75, 2.0, 2.0]
    assert CORRUPTIONS["glass_blur"].table_for(32, 32)["rows"][4] == [0.4, 1.0, 2.0]
    for name in ("gaussian", "impulse", "dark", "horizontal_shift"):
        demo = CORRUPTIONS[name]
        assert demo.levels_for(224, 224) == demo.levels_for(28, 28) == TABLES[name]
    assert CORRUPTIONS["contrast"].levels_for(96, 96) == (0.4, 0.3, 0.2, 0.1, 0.05)


def test_one_severity_per_image() -> None:
    with pytest.raises(
        InputError, match="one severity, or one per image, got 5 seeds and severities of"
    ):
        CORRUPTIONS["fog"].at_severity(
            smooth_images(), severity=torch.tensor([1.0, 2.0]), seeds=SEEDS
        )
