from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.feature import canny

from gatekeeper.corruptions.spatter import Spatter, _distance, _edges, _equalised
from tests.contracts.corruption import CorruptionContract

MUD = torch.tensor([63.0, 42.0, 20.0]) / 255


class TestSpatter(CorruptionContract):
    name = "spatter"

    def test_mud_covers_with_one_colour(self) -> None:
        white = torch.ones(4, 3, 64, 64)
        muddy = Spatter().degrade(white, torch.full((4, 1, 1, 1), 5.0), np.arange(4))
        share = (1 - muddy[:, :1]) / (1 - MUD[0])
        torch.testing.assert_close(
            muddy, (1 - share) + share * MUD.reshape(1, 3, 1, 1), rtol=0, atol=1e-5
        )
        covered = share.flatten()
        assert ((covered < 1e-6) | (covered > 0.8 - 1e-4)).all()  # thin mud runs off
        assert 0.02 < (covered > 0.5).float().mean() < 0.9

    def test_water_only_lightens_and_shines_fully_somewhere(self) -> None:
        black = torch.zeros(6, 3, 64, 64)
        wet = Spatter().degrade(black, torch.full((6, 1, 1, 1), 2.0), np.arange(6))
        assert wet.min() >= 0
        torch.testing.assert_close(wet[:, 1], wet[:, 2])
        torch.testing.assert_close(wet[:, 0] * 238, wet[:, 1] * 175)
        most = wet[:, 1].amax(dim=(1, 2))
        torch.testing.assert_close(most[most > 0], torch.full_like(most[most > 0], 0.6 * 238 / 255))

    def test_an_image_without_a_drop_stays(self) -> None:
        image = torch.full((1, 3, 20, 20), 0.5)
        row = {name: torch.tensor([0.1]) for name in Spatter.parameters} | {
            "threshold": torch.tensor([5.0]),
            "mud": torch.tensor([0.0]),
        }
        assert torch.equal(Spatter().transform(image, row, np.array([1])), image)


@pytest.mark.parametrize("reach", [2, 5, 20])
def test_distances_equal_scipys(rng: np.random.Generator, reach: int) -> None:
    marked = rng.random((3, 1, 23, 31)) < 0.03
    got = _distance(torch.from_numpy(marked), reach)
    for mine, marks in zip(got[:, 0].numpy(), marked[:, 0], strict=True):
        expected = np.minimum(ndimage.distance_transform_edt(~marks), reach)
        np.testing.assert_allclose(mine, expected, atol=1e-5)


def test_no_mark_is_far() -> None:
    assert torch.equal(_distance(torch.zeros(1, 1, 4, 4) > 0, 3), torch.full((1, 1, 4, 4), 3.0))


def test_edges_surround_a_drop_as_scikit_images_do() -> None:
    drop = torch.zeros(1, 1, 30, 30)
    y, x = torch.meshgrid(torch.arange(30), torch.arange(30), indexing="ij")
    drop[0, 0, (y - 15) ** 2 + (x - 14) ** 2 <= 64] = 190.0
    mine = _edges(drop)[0, 0].numpy()
    theirs = canny(drop[0, 0].numpy(), sigma=0.1, low_threshold=50, high_threshold=150)
    # Which side of a step carries the edge is a convention: within one pixel both ways.
    assert (ndimage.distance_transform_edt(~theirs)[mine] <= 1.5).all()
    assert (ndimage.distance_transform_edt(~mine)[theirs] <= 1.5).all()
    assert mine.sum() >= 30


def test_ranks_by_hand() -> None:
    codes = torch.tensor([[2, 2, 5], [7, 5, 2]]).reshape(1, 1, 2, 3)
    # Counted from the lowest code on, which is 0: of the other three pixels two are at most 5.
    expected = torch.tensor([[0.0, 0.0, 170.0], [255.0, 170.0, 0.0]]).reshape(1, 1, 2, 3)
    assert torch.equal(_equalised(codes, 20), expected)
