"""Preprocessing against torchvision by value, and its corner cases."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from gatekeeper.classifiers.preprocessing import Preprocessing
from gatekeeper.errors import InputError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
BY_NAME = {
    "bilinear": transforms.InterpolationMode.BILINEAR,
    "bicubic": transforms.InterpolationMode.BICUBIC,
}


def pictures(height: int, width: int) -> torch.Tensor:
    """Two images of few large patches, some of them black or white so that bicubic overshoots."""
    generator = torch.Generator().manual_seed(11)
    coarse = torch.rand(2, 3, 5, 4, generator=generator).mul(1.6).sub(0.3).clamp(0, 1)
    return torch.nn.functional.interpolate(coarse, size=(height, width))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "crop_pct"), [(32, 0.875), (31, 0.95), (32, 1.0), (64, 0.9)])
@pytest.mark.parametrize("shape", [(50, 50), (60, 41), (41, 60), (33, 32)])
def test_it_is_the_usual_resize_crop_and_normalise(interpolation, size, crop_pct, shape):
    images = pictures(*shape)
    usual = transforms.Compose(
        [
            transforms.Resize(int(size / crop_pct), BY_NAME[interpolation], antialias=True),
            transforms.Lambda(lambda x: x.clamp(0, 1)),
            transforms.CenterCrop(size),
            transforms.Normalize(MEAN, STD),
        ]
    )
    mine = Preprocessing(
        size=(size, size), mean=MEAN, std=STD, interpolation=interpolation, crop_pct=crop_pct
    )
    torch.testing.assert_close(mine.apply(images), usual(images), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
def test_it_is_what_pillow_gives_up_to_8_bit_rounding(name):
    # Within 0.2…0.8: at black and white, Pillow also clips between its two passes.
    pixels = (
        ((pictures(60, 41)[0] * 0.6 + 0.2) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    )
    resized = Image.fromarray(pixels).resize((32, 46), getattr(Image.Resampling, name.upper()))
    expected = np.asarray(resized)[7:39] / 255  # the centre 32 of 46 rows
    mine = Preprocessing(size=(32, 32), mean=(0, 0, 0), std=(1, 1, 1), interpolation=name)
    image = torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1)[None]
    got = mine.apply(image)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(got, expected, atol=1.01 / 255)


def test_normalisation_by_hand():
    image = torch.tensor([0.5, 0.25, 1.0]).view(1, 3, 1, 1)
    mine = Preprocessing(size=(1, 1), mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.1))
    assert mine.apply(image).flatten().tolist() == pytest.approx([0.0, -1.0, 5.0])


def test_an_image_of_the_right_size_is_not_resampled_nor_touched():
    image = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    kept = image.clone()
    mine = Preprocessing(size=(9, 7), mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic")
    assert torch.equal(mine.apply(image), image)
    mine.apply(image).zero_()
    assert torch.equal(image, kept)


def test_the_centre_is_kept_and_the_ratio_too():
    image = torch.zeros(1, 3, 4, 8)
    image[..., 2:6] = 1.0  # the centre half is white
    mine = Preprocessing(size=(4, 4), mean=(0, 0, 0), std=(1, 1, 1))
    assert torch.equal(mine.apply(image), torch.ones(1, 3, 4, 4))


def test_squash_changes_the_ratio_and_crops_nothing():
    image = torch.zeros(1, 3, 4, 8)
    image[..., 4:] = 1.0
    mine = Preprocessing(size=(4, 4), mean=(0, 0, 0), std=(1, 1, 1), crop_mode="squash")
    columns = mine.apply(image)[0, 0, 0]
    expected = torch.nn.functional.interpolate(image, size=(4, 4), mode="bilinear", antialias=True)[
        0, 0, 0
    ]
    assert torch.equal(columns, expected)
    assert columns[0] == 0
    assert columns[-1] == 1


def test_a_tall_target_is_covered():
    mine = Preprocessing(size=(6, 3), mean=(0, 0, 0), std=(1, 1, 1))
    for shape in ((10, 10), (3, 50), (50, 3), (1, 1)):
        assert mine.apply(torch.rand(1, 3, *shape)).shape == (1, 3, 6, 3)


def test_json_round_trip_and_digest():
    mine = Preprocessing(size=(28, 20), mean=MEAN, std=STD, interpolation="bicubic", crop_pct=0.9)
    stored = json.loads(json.dumps(mine.to_json()))
    assert stored["size"] == [28, 20]
    assert Preprocessing.from_json(stored) == mine
    assert Preprocessing.from_json(stored).digest == mine.digest
    for key, value in {
        "size": [20, 28],
        "mean": [0.485, 0.456, 0.407],
        "std": [0.229, 0.224, 0.226],
        "interpolation": "bilinear",
        "crop_pct": 0.91,
        "crop_mode": "squash",
    }.items():
        assert Preprocessing.from_json({**stored, key: value}).digest != mine.digest


def test_declared_values_are_brought_to_one_form():
    declared = Preprocessing.from_json({"size": 28, "mean": [0, 0, 0], "std": [1, 1, 1]})
    written = Preprocessing(size=(28, 28), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    assert declared == written
    assert declared.digest == written.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [28]}, "size as two positive whole numbers"),
        ({"size": [28, 0]}, "size as two positive whole numbers"),
        ({"size": [28.0, 28.0]}, "size as two positive whole numbers"),
        ({"size": "28"}, "size to be made of numbers"),
        ({"mean": [0.5, 0.5]}, "mean as three finite numbers"),
        ({"mean": [0.5, 0.5, float("nan")]}, "mean as three finite numbers"),
        ({"mean": 0.5}, "mean to be made of numbers"),
        ({"std": [0.5, 0.5, "1"]}, "std to be made of numbers"),
        ({"std": [0.5, 0.0, 0.5]}, "every std to be positive"),
        ({"interpolation": "nearest"}, "bilinear or bicubic, got 'nearest'"),
        ({"crop_pct": 0}, r"crop_pct in \(0, 1\]"),
        ({"crop_pct": 1.5}, r"crop_pct in \(0, 1\]"),
        ({"crop_pct": "all"}, "crop_pct to be made of numbers"),
        ({"crop_mode": "border"}, "center or squash, got 'border'"),
        ({"means": [0, 0, 0]}, "size, mean and std among .* got .*means"),
        ({"std": None}, "size, mean and std among"),
    ],
)
def test_wrong_values_are_refused(change, message):
    declared = {"size": [28, 28], "mean": [0.5] * 3, "std": [0.5] * 3, **change}
    with pytest.raises(InputError, match=message):
        Preprocessing.from_json(declared)
