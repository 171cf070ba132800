from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from gatekeeper.errors import InputError
from gatekeeper.levels.distortion import ORDER, distort
from gatekeeper.levels.space import COORDINATES

SEEDS = np.arange(4, dtype=np.int64) + 7


def photos(n: int = 4, side: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(n, 3, side, side, generator=generator) * 255).round() / 255


def test_every_coordinate_has_its_place_in_the_order():
    assert sorted(ORDER) == sorted(COORDINATES)


def test_the_identity_level_is_the_image_bit_by_bit():
    images = photos()
    identity = {name: coordinate.identity for name, coordinate in COORDINATES.items()}
    assert torch.equal(distort(images, identity, SEEDS), images)
    assert torch.equal(distort(images, {}, SEEDS), images)


def test_a_quarter_turn_is_counter_clockwise_and_leaves_the_input_alone():
    images = photos()
    before = images.clone()
    turned = distort(images, {"rotation": 90.0}, SEEDS)
    assert torch.equal(turned, torch.rot90(images, 1, (2, 3)))
    assert torch.equal(distort(images, {"rotation": -90.0}, SEEDS), torch.rot90(images, -1, (2, 3)))
    assert torch.equal(images, before)


def test_a_shift_moves_the_picture_and_mirrors_what_is_missing():
    images = photos()
    moved = distort(images, {"shift_x": 0.25}, SEEDS)
    assert torch.equal(moved[..., 4:], images[..., :-4])
    assert torch.equal(moved[..., :4], images[..., :4].flip(3))
    down = distort(images, {"shift_y": 0.25}, SEEDS)
    assert torch.equal(down[:, :, 4:], images[:, :, :-4])


def test_a_scale_of_two_shows_the_middle_half():
    ramp = torch.linspace(0, 1, 16).expand(1, 3, 16, 16)
    zoomed = distort(ramp, {"scale": 2.0}, SEEDS[:1])
    # Linear in x: the slope halves, the middle stays.
    assert zoomed[0, 0, 0].numpy() == pytest.approx(
        0.5 + (np.arange(16) - 7.5) / 30, abs=0.5 / 255 + 1e-6
    )


def test_brightness_and_contrast_by_hand():
    images = torch.full((1, 3, 8, 8), 100 / 255)
    images[..., :4] = 60 / 255
    dark = distort(images, {"brightness": 0.5}, SEEDS[:1]) * 255
    assert sorted(set(dark.flatten().round().int().tolist())) == [30, 50]
    flat = distort(images, {"contrast": 0.5}, SEEDS[:1]) * 255
    assert sorted(set(flat.flatten().round().int().tolist())) == [70, 90]
    both = distort(images, {"contrast": 0.5, "brightness": 2.0}, SEEDS[:1]) * 255
    assert sorted(set(both.flatten().round().int().tolist())) == [140, 180]


def test_blur_is_scipys_gaussian_filter():
    images = photos(1)
    blurred = distort(images, {"blur_sigma": 1.3}, SEEDS[:1])
    expected = gaussian_filter(images[0, 0].double().numpy(), 1.3, mode="reflect")
    assert blurred[0, 0].numpy() == pytest.approx(expected, abs=0.5 / 255 + 1e-4)


def test_noise_is_the_same_field_at_every_strength():
    grey = torch.full((2, 3, 32, 32), 0.5)
    weak = distort(grey, {"noise_sigma": 0.04}, SEEDS[:2]) - 0.5
    strong = distort(grey, {"noise_sigma": 0.08}, SEEDS[:2]) - 0.5
    assert float(weak.std()) == pytest.approx(0.04, rel=0.05)
    assert strong.numpy() == pytest.approx(2 * weak.numpy(), abs=2 / 255)
    assert not torch.equal(weak[0], weak[1])


def test_jpeg_is_pillows():
    images = photos(1)
    stream = io.BytesIO()
    pixels = (images[0] * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(stream, "JPEG", quality=40)
    with Image.open(stream) as stored:
        expected = np.asarray(stored)
    got = (distort(images, {"jpeg_quality": 40.2}, SEEDS[:1])[0] * 255).round().byte()
    assert np.array_equal(got.permute(1, 2, 0).numpy(), expected)


def test_a_row_does_not_depend_on_its_batch_nor_on_the_order_of_the_names():
    images = photos()
    level = {
        "noise_sigma": 0.1, "rotation": 20.0, "blur_sigma": 0.7, "brightness": 1.2,
        "contrast": 0.8, "scale": 1.1, "shift_x": 0.1, "shift_y": -0.1, "jpeg_quality": 70.0,
    }  # fmt: skip
    together = distort(images, level, SEEDS)
    alone = torch.cat([distort(images[i : i + 1], level, SEEDS[i : i + 1]) for i in range(4)])
    assert torch.equal(together, alone)
    assert torch.equal(together, distort(images, dict(reversed(level.items())), SEEDS))
    assert float(together.min()) >= 0
    assert float(together.max()) <= 1
    assert torch.equal((together * 255).round() / 255, together)


@pytest.mark.parametrize(
    ("level", "seeds", "message"),
    [
        ({"rotatoin": 3.0}, SEEDS, "leave out rotatoin"),
        ({"rotation": float("nan")}, SEEDS, "give numbers"),
        ({"rotation": 3.0}, SEEDS[:2], "one seed per image"),
    ],
)
def test_what_is_no_level_is_refused(level, seeds, message):
    with pytest.raises(InputError, match=message):
        distort(photos(), level, seeds)
