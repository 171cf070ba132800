from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.corruptions.glass import _partners, _shuffled
from tests.contracts.corruption import CorruptionContract


class TestGlassBlur(CorruptionContract):
    name = "glass_blur"


@pytest.mark.parametrize(("height", "width"), [(9, 13), (12, 7), (4, 4), (2, 30)])
@pytest.mark.parametrize("reaches", [(1, 2), (3, 1)])
def test_fronts_give_what_the_scan_gives(height: int, width: int, reaches: tuple[int, int]) -> None:
    reach, passes = torch.tensor(reaches), torch.tensor([2.0, 1.5])
    seeds = np.array([4, 9])
    expected = np.tile(np.arange(height * width), (2, 1))
    moved = 0
    for number in range(2):
        partner = _partners(height, width, reach, passes - number, seeds, number).numpy()
        for row, d in enumerate(reaches):
            for y in range(height - d, d, -1):
                for x in range(width - d, d, -1):
                    here = y * width + x
                    if y < height and x < width:
                        moved += partner[row, here] != here
                        expected[row, here] = expected[row, partner[row, here]]
    got = _shuffled(height, width, reach, passes, seeds)
    np.testing.assert_array_equal(got.numpy(), expected)
    assert moved > 0 or min(height, width) <= 4


def test_partners_lie_within_reach_and_the_border_stays() -> None:
    reach = torch.tensor([3])
    partner = _partners(20, 20, reach, torch.tensor([1.0]), np.array([7]), 0).reshape(20, 20)
    here = torch.arange(400).reshape(20, 20)
    down = torch.div(partner, 20, rounding_mode="floor") - torch.arange(20)[:, None]
    across = partner % 20 - torch.arange(20)[None, :]
    for step in (down, across):
        assert set(step.unique().tolist()) == {-3, -2, -1, 0, 1, 2}
    for rim in (slice(0, 4), slice(18, 20)):
        assert torch.equal(partner[rim], here[rim])
        assert torch.equal(partner[:, rim], here[:, rim])


def test_a_share_of_a_pass_moves_a_share_of_the_pixels() -> None:
    def moved(share: float) -> float:
        reach = torch.full((20,), 2)
        partner = _partners(40, 40, reach, torch.full((20,), share), np.arange(20), 0)
        return (partner != torch.arange(1600)).float().mean().item()

    assert moved(0.0) == 0
    assert moved(0.25) == pytest.approx(0.25 * moved(1.0), rel=0.05)
