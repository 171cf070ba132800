"""Padding and tiles: by hand, against numpy, every size covered, results blended."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift.tiling import Tile, by_tiles, mirrored, tiles


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 16), (8, 8), (9, 7), (3, 1)])
@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_mirroring_is_numpys(size: tuple[int, int], multiple: int) -> None:
    images = torch.arange(2 * size[0] * size[1], dtype=torch.float32).reshape(1, 2, *size)
    found = mirrored(images, multiple)
    more = [(0, -side % multiple) for side in size]
    expected = np.pad(images.numpy(), [(0, 0), (0, 0), *more], mode="reflect")
    assert np.array_equal(found.numpy(), expected)


def test_tiles_by_hand() -> None:
    found = list(tiles(8, 20, side=8, overlap=2))
    assert found == [Tile(0, 0, 8, 8), Tile(0, 6, 8, 8), Tile(0, 12, 8, 8)]
    assert list(tiles(8, 4, side=16, overlap=8)) == [Tile(0, 0, 8, 4)]
    # The last tile ends at the border, so it may overlap by more.
    assert [tile.top for tile in tiles(17, 4, side=8, overlap=0)] == [0, 8, 9]


@pytest.mark.parametrize(("side", "overlap"), [(8, 0), (8, 4), (12, 8)])
def test_every_pixel_is_covered_on_the_grid(side: int, overlap: int) -> None:
    for height, width in ((4, 4), (8, 8), (12, 40), (36, 16)):
        count = torch.zeros(1, 1, height, width)
        for tile in tiles(height, width, side=side, overlap=overlap):
            tile.of(count).add_(1)
            assert tile.top % 4 == tile.left % 4 == 0
        assert count.min() >= 1


def test_a_tile_of_a_smaller_latent() -> None:
    latents = torch.arange(16).reshape(1, 1, 4, 4)
    assert Tile(4, 0, 4, 8).of(latents, 2).tolist() == [[[[8, 9, 10, 11], [12, 13, 14, 15]]]]


def test_work_that_changes_nothing_gives_the_image_back() -> None:
    images = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    for side, overlap in ((8, 0), (16, 8), (16, 4), (64, 0)):
        found = by_tiles(images, lambda tile: tile.of(images), side=side, overlap=overlap)
        torch.testing.assert_close(found, images, rtol=0, atol=1e-6)


def test_tiles_fade_into_one_another() -> None:
    # Two tiles of 6 px over 10: columns 4 and 5 are in both.
    def work(tile: Tile) -> Tensor:
        return torch.full((1, 1, 4, tile.width), float(tile.left))

    found = by_tiles(torch.zeros(1, 1, 4, 10), work, side=6, overlap=2)[0, 0, 0]
    # Weights there: 2 and 1 from the left tile, 1 and 2 from the right one, whose value is 4.
    expected = [0, 0, 0, 0, 4 / 3, 8 / 3, 4, 4, 4, 4]
    assert found.tolist() == pytest.approx(expected)


def test_an_overlap_of_the_whole_tile_is_refused() -> None:
    for overlap in (-1, 8):
        with pytest.raises(InputError, match="overlap"):
            list(tiles(8, 8, side=8, overlap=overlap))
