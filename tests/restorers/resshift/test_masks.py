"""Masks: random ones by their kinds, dead areas where they are and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift import dead_areas, random_masks
from gatekeeper.restorers.resshift.masks import _borders, _boxes, _distance, _strokes

SEEDS = np.arange(120, dtype=np.int64) * 31 - 60


def photo(size: int = 24, n: int = 1) -> Tensor:
    images = torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(8))
    return (images * 255).round() / 255


def test_random_masks_have_holes_and_known_pixels_and_nothing_between() -> None:
    masks = random_masks(SEEDS, 32, 48)
    assert masks.shape == (120, 1, 32, 48)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    shares = masks.flatten(1).mean(dim=1)
    assert (shares > 0).all()
    assert (shares < 1).all()
    assert len({mask.numpy().tobytes() for mask in masks}) > 100


def test_a_mask_depends_on_its_own_seed() -> None:
    together = random_masks(SEEDS[:6], 16, 16)
    assert torch.equal(random_masks(SEEDS[3:4], 16, 16)[0], together[3])
    assert random_masks(SEEDS[:0], 16, 16).shape == (0, 1, 16, 16)


def test_boxes_keep_their_margin_and_sizes_at_the_papers_side() -> None:
    for seed in range(30):
        holes = _boxes(np.random.default_rng(seed), 256, 256)
        assert not holes[:10].any()
        assert not holes[-10:].any()
        assert not holes[:, :10].any()
        assert not holes[:, -10:].any()
        assert holes.sum() >= 900
        assert holes.any(axis=0).sum() >= 30


def test_sizes_follow_the_side() -> None:
    at = {
        side: np.mean([_boxes(np.random.default_rng(i), side, side).mean() for i in range(60)])
        for side in (32, 256)
    }
    assert at[32] == pytest.approx(at[256], rel=0.15)


def test_borders_are_whole_strips_of_4_to_25_percent() -> None:
    sides = np.zeros(4, dtype=int)
    for seed in range(60):
        holes = _borders(np.random.default_rng(seed), 100, 100)
        assert holes.any()
        rows, columns = holes.all(axis=1), holes.all(axis=0)
        assert np.array_equal(holes, rows[:, None] | columns[None, :])
        strips = [rows[:50].sum(), rows[50:].sum(), columns[:50].sum(), columns[50:].sum()]
        assert all(strip == 0 or 4 <= strip <= 25 for strip in strips)
        sides += np.array(strips) > 0
    assert (sides > 20).all()


def test_distance_from_a_segment_by_hand() -> None:
    y, x = np.array([[0.0, 3.0, 1.0]]), np.array([[1.0, 6.0, -1.0]])
    start, end = np.array([0.0, 0.0]), np.array([0.0, 2.0])
    # Above the middle: on it. Beyond the end (0, 2): 3-4-5. Before the start: the diagonal.
    assert _distance(y, x, start, end)[0].tolist() == pytest.approx([0.0, 5.0, 2**0.5])
    assert _distance(y, x, start, start)[0].tolist() == pytest.approx([1.0, 45**0.5, 2**0.5])


def test_strokes_are_at_least_their_least_width() -> None:
    for seed in range(20):
        holes = _strokes(np.random.default_rng(seed), 256, 256)
        assert holes.sum() >= 5 * 5


def test_masks_need_room() -> None:
    with pytest.raises(InputError, match="at least 4 px"):
        random_masks(SEEDS, 3, 8)


def test_a_photo_has_no_dead_areas() -> None:
    assert torch.equal(dead_areas(photo(n=5)), torch.ones(5, 1, 24, 24))


def test_a_covered_rectangle_is_found_exactly() -> None:
    images, expected = photo(n=3), torch.ones(3, 1, 24, 24)
    for row, colour in ((0, 0.0), (2, 0.5)):
        images[row, :, 4:9, 10:13] = colour
        expected[row, :, 4:9, 10:13] = 0
    assert torch.equal(dead_areas(images), expected)


def test_what_is_smaller_than_the_least_square_is_no_dead_area() -> None:
    images = photo()
    images[:, :, 4:6, 10:20] = 0.0
    assert dead_areas(images).min() == 1
    assert dead_areas(images, least_side=2).min() == 0


def test_dead_rows_and_columns_are_found() -> None:
    images, expected = photo(), torch.ones(1, 1, 24, 24)
    images[:, :, 7] = 1.0
    images[:, :, :, 23] = 0.0
    images[:, :, 7, 23] = 1.0
    images[:, :, :7, 23] = images[:, :, 8:, 23] = 0.25
    found = dead_areas(images)
    expected[:, :, 7] = 0
    assert torch.equal(found, expected)
    images = photo()
    images[:, :, :, 23] = 0.25
    assert torch.equal(dead_areas(images)[0, 0].sum(dim=0), torch.tensor([24.0] * 23 + [0.0]))


def test_one_channel_that_is_flat_is_none() -> None:
    images = photo()
    images[:, 1] = 0.5
    assert dead_areas(images).min() == 1


def test_an_image_that_is_mostly_flat_is_whole() -> None:
    assert torch.equal(dead_areas(torch.zeros(1, 3, 16, 16)), torch.ones(1, 1, 16, 16))
    ramp = torch.linspace(0, 1, 16).expand(1, 3, 16, 16)
    assert dead_areas(ramp).min() == 1  # every column is flat: a drawing
    tiny = photo(size=2)
    assert torch.equal(dead_areas(tiny), torch.ones(1, 1, 2, 2))


def test_wrong_limits_are_refused() -> None:
    for wrong in ({"least_side": 1}, {"largest_share": 0.0}, {"largest_share": 1.5}):
        with pytest.raises(InputError, match="least_side"):
            dead_areas(photo(), **wrong)
