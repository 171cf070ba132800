"""Turned, shifted and mirrored images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tests.signals.known import grey, photos, read, read_all, turned

DAY = slice(0, -1)  # all but the night sky, whose corners are black


def test_wrap_steps_by_hand() -> None:
    ramp = (0.01 * torch.arange(40.0)[None, :] + 0.002 * torch.arange(30.0)[:, None]).expand(30, 40)
    assert read(grey(ramp), "wrap_step_across")[0] == pytest.approx(0.39, rel=1e-4)
    assert read(grey(ramp), "wrap_step_down")[0] == pytest.approx(0.058, rel=1e-4)
    rolled = torch.roll(ramp, 13, dims=1)
    assert read(grey(rolled), "wrap_step_across")[0] == pytest.approx(0.01, rel=1e-3)


def test_bars_by_hand() -> None:
    image = 0.3 + 0.4 * torch.rand(64, 64, generator=torch.Generator().manual_seed(2))
    image[:, :8] = 0.0
    bars = grey(image)
    # From the left an eighth of each line; from above and below whole lines in an eighth of them.
    assert read(bars, "border_black_share")[0] == pytest.approx((1 / 8 + 0 + 2 / 8) / 4, abs=1e-4)
    assert read(bars, "border_share")[0] == pytest.approx((1 / 8 + 0 + 2 / 8) / 4, abs=1e-4)
    image[:, :8] = 0.7
    assert read(grey(image), "border_black_share")[0] == 0.0
    assert read(grey(image), "border_share")[0] == pytest.approx((1 / 8 + 0 + 2 / 8) / 4, abs=1e-4)


def test_wedges_of_turned_photographs_grow_with_the_angle() -> None:
    images = photos()[DAY]
    clean = read(images, "border_black_share"), read(images, "border_slant")
    assert clean[0].max() < 0.01
    shares, slants = [clean[0]], [clean[1]]
    for degrees in (3, 8, 20):
        signals = read_all(turned(images, degrees))
        shares.append(signals["border_black_share"])
        slants.append(signals["border_slant"])
    for less, more in itertools.pairwise(shares):
        assert (more > less).all()
    assert all((more > less).all() for less, more in itertools.pairwise(slants[1:]))
    # Mostly the tangent of the angle on that half of a side that is nearer to its wedge.
    assert np.median(slants[-1]) == pytest.approx(np.tan(np.radians(20)), rel=0.3)


def test_the_wedge_of_one_corner_by_hand() -> None:
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    image = 0.2 + 0.6 * torch.rand(64, 64, generator=torch.Generator().manual_seed(4))
    image[x < 32 - y] = 0.0
    share = read(grey(image), "border_black_share")[0]
    # A triangle of half the side seen from the left and from above: an eighth of the area each.
    assert share == pytest.approx((1 / 8 + 1 / 8) / 4, rel=0.15)
    # Slope one on half of two of four sides.
    assert read(grey(image), "border_slant")[0] == pytest.approx(2 * 0.5 / 4, rel=0.15)


@pytest.mark.parametrize("shift", [3, 7, 14])
@pytest.mark.parametrize("side", [32, 184])
def test_a_mirrored_border_is_found(shift: int, side: int) -> None:
    images = photos(side, 7.0 if side == 32 else 1.6)
    for axis in (2, 3):
        part = images.narrow(axis, 0, shift).flip(axis)
        mirrored = torch.cat([part, images.narrow(axis, 0, side - shift)], dim=axis)
        for view in (mirrored, mirrored.flip(axis)):
            found = read(view, "border_mirror")
            assert (found > 0.5).mean() >= 0.8
            assert np.median(found) > 0.75
    assert np.median(read(images, "border_mirror")) == 0
    assert read(images, "border_mirror").max() < 0.65


def test_images_too_small_for_a_mirror_have_none() -> None:
    assert (read(torch.rand(3, 3, 8, 8), "border_mirror") == 0).all()
