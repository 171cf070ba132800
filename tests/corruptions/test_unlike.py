from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.corruptions import CORRUPTIONS, names_in_group
from gatekeeper.corruptions.unlike import (
    BlueNoise,
    CausticWarp,
    CheckerboardCutout,
    ConcentricWaves,
    PlasmaNoise,
    Sparkles,
)
from tests.contracts.corruption import CorruptionContract, PixelHarmContract, noisy_images
from tests.corruptions.photos import photos

GREY = torch.full((8, 3, 40, 52), 0.5)
SEEDS = np.arange(8) * 13 + 1
NINETEEN = [
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "gaussian_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "saturate",
    "spatter",
]


def at(level: float) -> torch.Tensor:
    return torch.full((8, 1, 1, 1), level)


class TestPlasmaNoise(PixelHarmContract):
    name = "plasma_noise"

    def test_deviates_by_the_level_and_colours_only_colours(self) -> None:
        change = PlasmaNoise().degrade(GREY, at(0.3), SEEDS) - GREY
        assert change.abs().max() <= 0.3 + 1e-6
        assert torch.equal(change[:, 0], change[:, 2])
        coloured = GREY * torch.tensor([0.9, 1.0, 1.1]).reshape(1, 3, 1, 1)
        change = PlasmaNoise().degrade(coloured, at(0.3), SEEDS) - coloured
        assert (change[:, 0] - change[:, 2]).abs().mean() > 0.05


class TestBlueNoise(PixelHarmContract):
    name = "blue_noise"

    def test_deviation_is_the_level_and_neighbours_are_opposed(self) -> None:
        change = BlueNoise().degrade(noisy_images(40, 52, 8), at(0.1), SEEDS)
        change = (change - noisy_images(40, 52, 8)).double()
        assert change.std().item() == pytest.approx(0.1, rel=0.02)
        assert (change[..., 1:] * change[..., :-1]).mean() < -0.1 * 0.1**2


class TestCheckerboardCutout(CorruptionContract):
    name = "checkerboard_cutout"

    def test_the_level_is_the_share_that_is_lost_to_one_grey(self) -> None:
        images = torch.full((400, 3, 36, 45), 0.25)
        for level in (0.1, 0.5):
            cut = CheckerboardCutout().degrade(
                images, torch.full((400, 1, 1, 1), level), np.arange(400)
            )
            lost = (cut != images).float()
            assert lost.mean().item() == pytest.approx(level, abs=0.01)
            assert set(cut.unique().tolist()) == {0.0, 0.25, 0.5, 1.0}
            for image in cut[:20]:
                assert len(image.unique()) <= 2

    def test_squares_of_one_colour_only(self) -> None:
        cut = CheckerboardCutout().degrade(
            torch.full((1, 3, 36, 36), 0.25), torch.full((1, 1, 1, 1), 0.5), np.array([2])
        )
        lost = (cut != 0.25)[0, 0]
        edge = 4
        # All painted: a step of one square along an axis leads from lost to kept and back.
        assert (lost[edge:] ^ lost[:-edge]).all()
        assert (lost[:, edge:] ^ lost[:, :-edge]).all()


class TestSparkles(PixelHarmContract):
    name = "sparkles"

    def test_glints_add_light_and_a_fraction_is_a_fainter_last_one(self) -> None:
        none, two, half, three = (Sparkles().degrade(GREY, at(n), SEEDS) for n in (0, 2, 2.5, 3))
        assert torch.equal(none, GREY)
        assert (two >= GREY).all()
        torch.testing.assert_close(half, (two + three) / 2)
        assert ((three - two).amax(dim=(1, 2, 3)) > 0.5).all()


class TestCausticWarp(PixelHarmContract):
    name = "caustic_warp"

    def test_light_is_moved_not_made(self) -> None:
        lit = CausticWarp().degrade(GREY, at(0.008), SEEDS)
        assert lit.mean().item() == pytest.approx(0.5, abs=0.01)
        assert lit.std() > 0.02


class TestConcentricWaves(CorruptionContract):
    name = "concentric_waves"

    def test_a_flat_image_stays_and_no_place_moves_further_than_the_level(self) -> None:
        torch.testing.assert_close(ConcentricWaves().degrade(GREY, at(0.05), SEEDS), GREY)
        ramp = (torch.arange(52.0) / 52).expand(8, 3, 40, 52)
        moved = (ConcentricWaves().degrade(ramp, at(0.05), SEEDS) - ramp) * 52
        assert moved.abs().max() <= 0.05 * 40 + 1e-3
        assert moved.abs().max() > 0.8 * 0.05 * 40


def mean_psnr_db(name: str, severity: int) -> float:
    clean = torch.from_numpy(photos(32))
    degraded = CORRUPTIONS[name](clean, severity=severity, seeds=np.arange(len(clean)))
    error = (degraded - clean).double().square().mean(dim=(1, 2, 3)).clamp(min=1e-5)
    return float((-10 * torch.log10(error)).mean())


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_levels_harm_as_much_as_the_nineteen_do_on_average(severity: int) -> None:
    aim = np.mean([mean_psnr_db(name, severity) for name in NINETEEN])
    for name in names_in_group("C-bar-like"):
        assert mean_psnr_db(name, severity) == pytest.approx(aim, abs=1.2)
