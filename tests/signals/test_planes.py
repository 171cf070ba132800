"""Luminance, steps, tiles and histograms by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.signals.planes import (
    Planes,
    alike,
    histogram,
    log,
    per_tile,
    root,
    row_means,
    row_sums,
    tile_pixels,
)


def test_luminance_and_steps_by_hand() -> None:
    images = torch.zeros(1, 3, 8, 8)
    images[0, :, 2, 3] = torch.tensor([1.0, 0.5, 0.25])
    planes = Planes.of(images)
    value = 0.299 + 0.587 * 0.5 + 0.114 * 0.25
    assert planes.luma[0, 2, 3].item() == pytest.approx(value)
    assert planes.luma.sum().item() == pytest.approx(value)
    assert planes.across.shape == (1, 8, 7)
    assert planes.down.shape == (1, 7, 8)
    for steps, places in ((planes.across, ((2, 2), (2, 3))), (planes.down, ((1, 3), (2, 3)))):
        assert all(steps[0, y, x].item() == pytest.approx(value) for y, x in places)
        assert steps.sum().item() == pytest.approx(2 * value)


def test_tiles_hold_the_blocks_of_their_pixels() -> None:
    images = torch.arange(2.0 * 3 * 19 * 27).reshape(2, 3, 19, 27)
    corners = tile_pixels(images)
    for corner, (down, across) in zip(corners, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
        assert corner.shape == (2, 3, 2, 4, 12)
        # Tile row 1, block row 2, tile column 2, block column 3.
        assert corner[1, 2, 1, 2, 11] == images[1, 2, 8 + 4 + down, 16 + 6 + across]
    total = per_tile(sum(corners))
    assert total.shape == (2, 3, 6)
    expected = images[1, 0, 8:16, 16:24].sum()
    assert total[1, 0, 5].item() == pytest.approx(expected.item())


@pytest.mark.parametrize(("side", "rows"), [(64, 8), (65, 4), (128, 8), (129, 6), (224, 7)])
def test_large_images_are_looked_at_in_bands(side: int, rows: int) -> None:
    images = torch.rand(1, 3, side, side)
    corner = tile_pixels(images)[0]
    assert corner.shape[2] == rows
    step = {64: 8, 65: 16, 128: 16, 129: 24, 224: 32}[side]
    last = (rows - 1) * step
    assert last + 8 <= side < last + 8 + step
    assert torch.equal(corner[0, 0, -1, 0, 0], images[0, 0, last, 0])


def test_histogram_counts_every_level() -> None:
    luma = torch.tensor([0, 0, 0, 1, 254, 255, 255, 100], dtype=torch.float32).repeat(8, 1) / 255
    shares = histogram(torch.stack([luma, 1 - luma]))
    assert shares.shape == (2, 256)
    for level, share in ((0, 3 / 8), (1, 1 / 8), (100, 1 / 8), (254, 1 / 8), (255, 2 / 8)):
        assert shares[0, level].item() == pytest.approx(share)
        assert shares[1, 255 - level].item() == pytest.approx(share)
    np.testing.assert_allclose(shares.sum(dim=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("n", [5, 2**15 - 1, 2**15, 2**17 + 3])
def test_a_lone_row_adds_up_as_it_does_among_others(n: int) -> None:
    rows = np.random.default_rng(n).random((3, n), dtype=np.float32)
    means, sums = row_means(rows), row_sums(rows)
    np.testing.assert_allclose(means, rows.astype(np.float64).mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(sums, rows.astype(np.float64).sum(axis=1), rtol=1e-6)
    for k in range(3):
        assert row_means(rows[k : k + 1]) == means[k]
        assert row_sums(rows[k : k + 1]) == sums[k]
    deep = rows[None, :, None]
    assert row_means(deep).shape == row_sums(deep).shape == (1, 3, 1)
    np.testing.assert_array_equal(row_means(deep).ravel(), means)


def test_two_arrays_are_worked_on_at_once_where_they_are_of_one_shape() -> None:
    seen = []

    def double(rows: np.ndarray) -> np.ndarray:
        seen.append(len(rows))
        return 2 * rows

    first, second = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    for found, given in zip(alike(double, first, second), (first, second), strict=True):
        np.testing.assert_array_equal(found, 2 * given)
    longer = np.ones((2, 4))
    assert [part.shape for part in alike(double, first, longer)] == [(2, 3), (2, 4)]
    assert seen == [4, 2, 2]


def test_logarithm_and_root_leave_their_argument_alone() -> None:
    values = np.array([1.0, np.e**2, 9.0], dtype=np.float32)
    np.testing.assert_allclose(log(values), [0.0, 2.0, 2 * np.log(3)], rtol=1e-6)
    np.testing.assert_allclose(root(values), [1.0, np.e, 3.0], rtol=1e-6)
    np.testing.assert_allclose(values, [1.0, np.e**2, 9.0], rtol=1e-6)
