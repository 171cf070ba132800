"""Noise levels against the published constants, and where drawn ones may lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.errors import InputError
from gatekeeper.restorers.noise_adaptation.draws import generators
from gatekeeper.restorers.noise_adaptation.levels import (
    check_levels,
    drawn_shares,
    noised,
    signal_shares,
)


def test_shares_are_the_published_ones() -> None:
    gamma = signal_shares()
    assert gamma.shape == (1000,)
    assert gamma[0] == pytest.approx(0.999999, abs=1e-12)
    assert gamma[500] == pytest.approx(0.2847, abs=5e-5)
    assert gamma[999] == pytest.approx(0.00662, abs=5e-6)
    assert (np.diff(gamma) < 0).all()


@pytest.mark.parametrize("step", [1, 400, 999])
def test_a_drawn_share_lies_between_neighbouring_steps(step: int) -> None:
    gamma = signal_shares().astype(np.float32)
    drawn = drawn_shares(generators(np.arange(500), 0), (step, step)).numpy()
    assert (drawn >= gamma[step]).all()
    assert (drawn <= gamma[step - 1]).all()
    # Anywhere between them, not one of them.
    place = (drawn - gamma[step]) / (gamma[step - 1] - gamma[step])
    assert place.mean() == pytest.approx(0.5, abs=0.06)
    if step > 1:  # near 1, float32 has few values
        assert len(np.unique(drawn)) > 100


def test_drawn_shares_cover_the_whole_range() -> None:
    drawn = drawn_shares(generators(np.arange(4000), 0)).numpy()
    steps = np.searchsorted(-signal_shares(), -drawn)
    assert steps.min() <= 5
    assert steps.max() >= 995
    counted = np.histogram(steps, bins=9, range=(1, 1000))[0]
    assert (np.abs(counted - 4000 / 9) < 5 * np.sqrt(4000 / 9)).all()


def test_a_narrow_range_is_kept_to() -> None:
    drawn = drawn_shares(generators(np.arange(300), 0), (1, 100)).numpy()
    assert drawn.min() >= signal_shares()[100] - 1e-6


def test_an_image_draws_its_own_level_whatever_the_batch() -> None:
    together = drawn_shares(generators(np.array([3, 4, -5]), 0))
    assert torch.equal(drawn_shares(generators(np.array([-5]), 0)), together[2:])
    assert not torch.equal(drawn_shares(generators(np.array([3, 4, -5]), 1)), together)


@pytest.mark.parametrize("levels", [(0, 5), (5, 1000), (7, 6)])
def test_ranges_that_are_none_are_refused(levels: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="noise levels from 1 to 999"):
        check_levels(levels)


def test_diffusion_by_hand() -> None:
    clean, noise = torch.full((2, 3, 1, 1), 0.5), torch.full((2, 3, 1, 1), -2.0)
    diffused = noised(clean, noise, torch.tensor([0.36, 1.0]))
    assert diffused[:, 0, 0, 0].tolist() == pytest.approx([0.6 * 0.5 - 0.8 * 2, 0.5])
