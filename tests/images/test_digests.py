from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from gatekeeper.errors import InputError
from gatekeeper.images import image_digests, seeds_for, tensor_digests


def test_a_digest_is_the_sha256_of_size_and_rgb_pixels():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(1, 2, 3, 3)
    expected = hashlib.sha256(b"2x3:" + bytes(range(18))).hexdigest()
    assert image_digests(image).tolist() == [expected]


def test_grey_and_its_colour_copy_have_the_same_digest():
    grey = np.random.default_rng(0).integers(0, 256, (4, 5, 6), dtype=np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=3)
    assert image_digests(grey).tolist() == image_digests(colour).tolist()


def test_the_shape_is_part_of_the_digest():
    pixels = np.zeros((1, 2, 6), dtype=np.uint8)
    assert image_digests(pixels)[0] != image_digests(pixels.reshape(1, 3, 4))[0]


def test_a_tensor_has_the_digest_of_its_source():
    pixels = np.random.default_rng(1).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    assert tensor_digests(tensor).tolist() == image_digests(pixels).tolist()
    # All 256 levels survive the way through float32.
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    as_tensor = (torch.from_numpy(ramp).float() / 255).unsqueeze(1).repeat(1, 3, 1, 1)
    assert tensor_digests(as_tensor).tolist() == image_digests(ramp).tolist()


def test_one_changed_pixel_changes_the_digest_of_that_image_alone():
    images = np.zeros((2, 4, 4), dtype=np.uint8)
    before = image_digests(images)
    images[1, 2, 2] = 1
    after = image_digests(images)
    assert before[0] == after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 2, 2), dtype=np.float32),
        np.zeros((2, 2), np.uint8),
        np.zeros((1, 2, 2, 4), "u1"),
    ],
)
def test_other_arrays_are_refused(images):
    with pytest.raises(InputError, match="uint8 of shape"):
        image_digests(images)


def test_other_tensors_are_refused():
    with pytest.raises(InputError, match=r"\(B, 3, H, W\)"):
        tensor_digests(torch.zeros(2, 1, 4, 4))


def test_a_seed_is_the_first_63_bits_of_blake2b():
    word = hashlib.blake2b(b"7\nnoise\nabc", digest_size=8).digest()
    assert seeds_for(7, ["abc"], "noise").tolist() == [int.from_bytes(word, "big") // 2]


def test_seeds_follow_the_image_not_its_position():
    seeds = seeds_for(0, ["a", "b", "c"], "noise")
    assert seeds_for(0, ["c", "a", "b"], "noise").tolist() == seeds[[2, 0, 1]].tolist()
    assert seeds_for(0, np.array(["b"]), "noise").tolist() == [seeds[1]]
    assert seeds.dtype == np.int64


def test_run_and_purpose_give_other_seeds():
    digests = [str(i) for i in range(100)]
    drawn = [
        *seeds_for(0, digests, "noise"),
        *seeds_for(1, digests, "noise"),
        *seeds_for(0, digests, "mix"),
    ]
    assert len(set(drawn)) == 300
    assert min(drawn) >= 0
    assert seeds_for(0, [], "noise").shape == (0,)
