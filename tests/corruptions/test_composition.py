from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.corruptions import CORRUPTIONS, Composition, corruption
from gatekeeper.corruptions.randomness import derived_seeds
from gatekeeper.errors import InputError
from tests.contracts.corruption import SEEDS, CorruptionContract, smooth_images


class TestDarkShotNoise(CorruptionContract):
    name = "dark+shot_noise"


class TestFogJpeg(CorruptionContract):
    name = "fog+jpeg_compression"


class TestGaussianBlurJpeg(CorruptionContract):
    name = "gaussian_blur+jpeg_compression"


class TestMotionBlurGaussianNoise(CorruptionContract):
    name = "motion_blur+gaussian_noise"


class TestRotationPixelate(CorruptionContract):
    name = "rotation+pixelate"


class TestSnowDefocusBlur(CorruptionContract):
    name = "snow+defocus_blur"


class TestNotListed(CorruptionContract):
    name = "gaussian+speckle"


@pytest.mark.parametrize("severity", [1, 4])
def test_both_steps_one_after_the_other(severity: int) -> None:
    images = smooth_images()
    once = CORRUPTIONS["snow"](images, severity=severity, seeds=SEEDS)
    later = derived_seeds(SEEDS, 0x2ECD)
    expected = CORRUPTIONS["impulse"](once, severity=severity, seeds=later)
    got = corruption("snow+impulse")(images, severity=severity, seeds=SEEDS)
    assert torch.equal(got, expected)


def test_families_are_the_union_in_order() -> None:
    assert corruption("snow+camera").families == (
        "snow",
        "camera_noise",
        "white_balance",
        "jpeg",
    )
    assert corruption("gaussian+gaussian_noise").families == ("gaussian",)


def test_the_second_step_draws_anew() -> None:
    grey = torch.full((1, 3, 60, 60), 0.5)
    noise = CORRUPTIONS["gaussian"]
    first = noise.at(grey, level=0.05, seeds=SEEDS[:1]) - grey
    both = Composition(noise, noise).at_severity(grey, severity=1, seeds=SEEDS[:1]) - grey
    # Two independent draws of 0.08 each: the deviation grows by √2, not by 2.
    assert both.std().item() == pytest.approx(0.08 * 2**0.5, rel=0.08)
    later = noise.at(grey, level=0.05, seeds=derived_seeds(SEEDS[:1], 0x2ECD)) - grey
    correlation = np.corrcoef(first.flatten().numpy(), later.flatten().numpy())[0, 1]
    assert abs(correlation) < 5 / 60


def test_the_same_pair_is_the_same_object_and_tables_hold_both() -> None:
    pair = corruption("snow+shear")
    assert pair is corruption("snow+shear")
    table = pair.table_for(224, 224)
    assert table["first"] == CORRUPTIONS["snow"].table_for(224, 224)
    assert table["second"] == CORRUPTIONS["shear"].table_for(224, 224)


@pytest.mark.parametrize("name", ["snow+sno", "snow+", "snow+fog+frost", "+"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"one of the corruptions .* or two of them joined by"):
        corruption(name)
