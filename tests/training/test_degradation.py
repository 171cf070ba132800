"""Each image gets one of the corruptions, at a strength within its range, from its own seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.training.degradation import Degradation
from gatekeeper.training.restorer_recipe import CorruptionDraw

GREY = torch.full((400, 3, 16, 16), 0.5)
SEEDS = np.arange(400)


def test_the_share_left_clean() -> None:
    degradation = Degradation([CorruptionDraw(name="gaussian")], clean_share=0.25)
    same = (degradation(GREY, SEEDS) == GREY).flatten(1).all(dim=1)
    assert 65 < int(same.sum()) < 135  # 100 ± 4 standard deviations
    never = Degradation([CorruptionDraw(name="gaussian")], clean_share=0.0)(GREY, SEEDS)
    assert not (never == GREY).flatten(1).all(dim=1).any()


def test_levels_spread_evenly_over_their_range() -> None:
    degradation = Degradation([CorruptionDraw(name="gaussian", level=(0.05, 0.15))])
    sigma = degradation(GREY, SEEDS)[:, 0].flatten(1).std(dim=1).numpy()
    # 256 values: each sigma is known to 5 %.
    assert 0.04 < sigma.min() < 0.06
    assert 0.135 < sigma.max() < 0.175
    np.testing.assert_allclose(sigma.mean(), 0.1, atol=0.006)


def test_one_level_alone_is_that_of_the_corruption() -> None:
    from gatekeeper.corruptions import CORRUPTIONS
    from gatekeeper.corruptions.randomness import derived_seeds

    degradation = Degradation([CorruptionDraw(name="impulse", level=(0.1, 0.1))])
    expected = CORRUPTIONS["impulse"].at(GREY, level=0.1, seeds=derived_seeds(SEEDS, 9012))
    assert torch.equal(degradation(GREY, SEEDS), expected)


def test_all_corruptions_occur_about_equally_often() -> None:
    degradation = Degradation(
        [CorruptionDraw(name="dark", severity=(3, 3)), CorruptionDraw(name="impulse", level=(1, 1))]
    )
    found = degradation(GREY, SEEDS)
    salt = ((found == 0) | (found == 1)).flatten(1).all(dim=1)
    assert 160 < int(salt.sum()) < 240
    assert (found[~salt].flatten(1).std(dim=1) < 1e-6).all()  # darkness keeps a flat image flat


def test_a_row_depends_on_its_own_image_and_seed_and_the_input_stays() -> None:
    degradation = Degradation(
        [CorruptionDraw(name="gaussian"), CorruptionDraw(name="motion_blur+gaussian_noise")],
        clean_share=0.2,
    )
    images = torch.rand(12, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    before, seeds = images.clone(), np.arange(100, 112)
    together = degradation(images, seeds)
    assert torch.equal(images, before)
    assert together.min() >= 0
    assert together.max() <= 1
    for row in range(12):
        one = slice(row, row + 1)
        torch.testing.assert_close(degradation(images[one], seeds[one]), together[one])


@pytest.mark.parametrize(
    ("names", "families"),
    [
        (["impulse_noise"], ("impulse",)),
        (["dark+shot_noise", "gaussian"], ("dark", "gaussian", "shot")),
    ],
)
def test_families(names: list[str], families: tuple[str, ...]) -> None:
    assert Degradation([CorruptionDraw(name=name) for name in names]).families == families
