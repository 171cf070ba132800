"""Luminance, steps, tiles and histograms by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.signals.planes import Planes, histogram, per_tile, tile_pixels


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
