from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.corruptions.geometric import (
    Crop,
    HorizontalShift,
    Perspective,
    Rotation,
    Scale,
    Shear,
    Shift,
    _homography,
)
from gatekeeper.corruptions.randomness import uniform
from tests.contracts.corruption import CorruptionContract, PixelHarmContract, noisy_images


class TestHorizontalShift(PixelHarmContract):
    name = "horizontal_shift"

    @pytest.mark.parametrize(("severity", "pixels"), list(enumerate((1, 2, 3, 4, 6), 1)))
    def test_rolls_to_the_right(self, rng: np.random.Generator, severity: int, pixels: int) -> None:
        codes = rng.integers(0, 256, (2, 3, 9, 11))
        images = torch.from_numpy(codes).float() / 255
        shifted = HorizontalShift()(images, severity=severity, seeds=np.arange(2))
        expected = np.roll(codes, pixels, axis=3)
        np.testing.assert_array_equal((shifted * 255).round().int().numpy(), expected)

    @pytest.mark.parametrize(
        ("level", "pixels"), [(0.0, 0), (2.4, 2), (2.6, 3), (-1.0, -1), (13.0, 13)]
    )
    def test_levels_are_rounded_to_whole_pixels_and_wrap(self, level: float, pixels: int) -> None:
        image = torch.arange(11.0).expand(1, 3, 8, 11) / 255
        shifted = HorizontalShift().at(image, level=level, seeds=np.arange(1))
        expected = np.roll(np.arange(11), pixels)
        np.testing.assert_array_equal((shifted[0, 0, 0] * 255).round().numpy(), expected)


MANY = np.arange(16)
BLACK = uniform(MANY, 1)[:, 0] < 0.5


def at(level: float) -> torch.Tensor:
    return torch.full((16, 1, 1, 1), level)


def test_seeds_draw_both_surroundings() -> None:
    """A white image gets black margins for some seeds and none for the others."""
    white = torch.ones(16, 3, 24, 30)
    for warp in (Shift(), Rotation(), Shear(), Scale(), Perspective()):
        margin = (warp.degrade(white, at(warp.levels[4]), MANY) < 0.5).flatten(1).any(dim=1)
        assert not margin[~BLACK].any()
        assert margin[BLACK].any()


class TestRotation(CorruptionContract):
    name = "rotation"

    def test_a_right_angle_is_exact_in_either_sense(self) -> None:
        images = noisy_images(20, 20, 1).expand(16, -1, -1, -1)
        turned = Rotation().degrade(images, at(90.0), MANY)
        senses = [torch.rot90(images[0], k, (1, 2)) for k in (1, -1)]
        found = [[torch.allclose(t, sense, atol=1e-4) for sense in senses] for t in turned]
        assert all(sum(one) == 1 for one in found)
        assert len({tuple(one) for one in found}) == 2


class TestScale(CorruptionContract):
    name = "scale"

    def test_the_middle_stays_and_distances_grow_or_shrink(self) -> None:
        x = (torch.arange(41.0) - 20).expand(16, 3, 41, 41) / 100 + 0.5
        scaled = Scale().degrade(x.contiguous(), at(2.0), MANY)
        steps = (scaled[:, 0, 20, 24] - scaled[:, 0, 20, 20]) * 100
        torch.testing.assert_close(scaled[:, 0, 20, 20], torch.full((16,), 0.5))
        assert sorted({round(step, 3) for step in steps.tolist()}) == [2.0, 8.0]


class TestShift(CorruptionContract):
    name = "shift"

    def test_every_pixel_moves_by_the_level_along_one_direction(self) -> None:
        y, x = torch.meshgrid(torch.arange(40.0), torch.arange(60.0), indexing="ij")
        ramps = torch.stack([x / 60, y / 40, x / 60])[None].expand(16, -1, -1, -1).contiguous()
        moved = Shift().degrade(ramps, at(0.1), MANY)[:, :, 20, 30] - ramps[:, :, 20, 30]
        torch.testing.assert_close(moved[:, 0] ** 2 + moved[:, 1] ** 2, torch.full((16,), 0.01))
        assert moved[:, 0].min() < 0 < moved[:, 0].max()
        assert moved[:, 1].min() < 0 < moved[:, 1].max()


class TestShear(CorruptionContract):
    name = "shear"

    def test_lines_slant_by_the_tangent(self) -> None:
        y, x = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(41.0) - 20, indexing="ij")
        ramps = torch.stack([x, y, x])[None].expand(16, -1, -1, -1) / 100 + 0.5
        slanted = (Shear().degrade(ramps.contiguous(), at(0.5), MANY) - ramps) * 100
        seen = {(round(s[0, 24, 20].item(), 2), round(s[1, 20, 24].item(), 2)) for s in slanted}
        assert seen == {(2.0, 0.0), (-2.0, 0.0), (0.0, 2.0), (0.0, -2.0)}


class TestPerspective(CorruptionContract):
    name = "perspective"

    def test_the_map_takes_the_corners_where_they_were_sent(self) -> None:
        moves = torch.tensor(
            [[[0.1, -0.05], [0.0, 0.2], [-0.1, 0.1], [0.02, 0.03]]], dtype=torch.float64
        )
        h = _homography(moves)[0].tolist()
        corners = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
        for (u, v), move in zip(corners, moves[0].tolist(), strict=True):
            scale = h[6] * u + h[7] * v + 1
            assert (h[0] * u + h[1] * v + h[2]) / scale == pytest.approx(u + move[0])
            assert (h[3] * u + h[4] * v + h[5]) / scale == pytest.approx(v + move[1])

    def test_corners_are_looked_up_at_most_the_level_away(self) -> None:
        y, x = torch.meshgrid(torch.arange(80.0), torch.arange(80.0), indexing="ij")
        ramps = torch.stack([x, y, x])[None].expand(16, -1, -1, -1) / 80
        moved = (Perspective().degrade(ramps.contiguous(), at(0.1), MANY) - ramps).abs()
        inward = moved[~BLACK][:, :2, [0, 0, -1, -1], [0, -1, 0, -1]]
        assert inward.max() <= 0.1 + 0.02
        assert 0.03 < inward.mean() < 0.1


class TestCrop(CorruptionContract):
    name = "crop"

    def test_a_window_off_the_middle_is_enlarged(self) -> None:
        y, x = torch.meshgrid(torch.arange(50.0), torch.arange(50.0), indexing="ij")
        ramps = torch.stack([x, y, x])[None].expand(16, -1, -1, -1) / 50
        seen = Crop().degrade(ramps.contiguous(), at(0.4), MANY)
        steps = (seen[:, 0, 25, 30] - seen[:, 0, 25, 20]) * 50
        torch.testing.assert_close(steps, torch.full((16,), 6.0), rtol=0, atol=1e-3)
        middle = (seen[:, :2, 25, 25] - ramps[:, :2, 25, 25]).abs()
        assert (middle > 0.1 - 0.02).all()
        assert (middle < 0.2 + 0.02).all()
