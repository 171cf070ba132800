"""Edges of known width and direction."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from tests.signals.known import blurred, grey, moved, normal, photos, read, read_all, stored


def disc(sigma: float, side: int = 160) -> torch.Tensor:
    """A disc whose rim is the integral of a Gaussian, shape (1, 3, side, side)."""
    place = torch.arange(side) - side / 2 + 0.3
    inside = 50 - torch.hypot(place[:, None], place[None, :])
    return grey(0.5 + 0.3 * torch.erf(inside / (sigma * math.sqrt(2))))


def test_gradients_by_hand() -> None:
    ramp = (0.01 * torch.arange(40.0)[None, :] + 0.002 * torch.arange(30.0)[:, None]).expand(30, 40)
    assert read(grey(ramp), "gradient_across")[0] == pytest.approx(0.01, rel=1e-4)
    assert read(grey(ramp), "gradient_down")[0] == pytest.approx(0.002, rel=1e-4)
    # Slopes across, down and along the two diagonals, fourth power, mean of the four.
    slopes = [0.01, 0.002, 0.012 / math.sqrt(2), 0.008 / math.sqrt(2)]
    expected = np.mean(np.power(slopes, 4)) ** 0.25
    assert read(grey(ramp), "edge_contrast")[0] == pytest.approx(expected, rel=1e-3)
    # The same slope at every scale.
    assert read(grey(ramp), "blur_fine")[0] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.5, 2.0, 3.0, 4.0])
def test_the_width_of_edges_in_all_directions(sigma: float) -> None:
    assert read(disc(sigma), "blur_sigma")[0] == pytest.approx(sigma, rel=0.2)
    assert read(disc(sigma), "blur_anisotropy")[0] < 0.1


def test_blur_of_photographs_is_recovered() -> None:
    found = {s: read(blurred(photos(), s), "blur_sigma") for s in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)}
    for sigma in (1.5, 2.0, 3.0, 4.0):
        assert np.median(found[sigma]) == pytest.approx(sigma, rel=0.25)
    for (_, less), (_, more) in itertools.pairwise(found.items()):
        assert (more > less - 1e-6).all()


def test_blur_shows_in_small_images() -> None:
    images = photos(32, 7.0)
    sharp, soft, softer = (read(blurred(images, s), "blur_sigma") for s in (0.3, 1.0, 2.0))
    assert (soft > sharp).all()
    assert (softer > soft).all()
    fine = [read(blurred(images, s), "blur_fine") for s in (0.3, 1.0, 2.0)]
    assert all((less > more).all() for less, more in itertools.pairwise(fine))


def test_noise_hides_blur_only_in_part() -> None:
    levels = []
    for sigma in (0.3, 1.0, 2.0):
        images = blurred(photos(), sigma)
        levels.append(read(stored(images + 0.03 * normal(*images.shape)), "blur_sigma"))
    assert all((more > less).all() for less, more in itertools.pairwise(levels))


@pytest.mark.parametrize("length", [5, 15])
@pytest.mark.parametrize("degrees", [0, 30, 60, 90, 135])
def test_the_direction_of_motion_blur(length: int, degrees: int) -> None:
    signals = read_all(moved(photos(), length, degrees))
    cosine, sine = signals["blur_cosine"], signals["blur_sine"]
    off = np.abs((np.degrees(np.arctan2(sine, cosine)) / 2 - degrees + 90) % 180 - 90)
    assert np.median(off) <= 10
    assert (off <= 15).mean() >= 0.75
    assert np.median(signals["blur_anisotropy"]) > (0.4 if length == 5 else 0.7)
    np.testing.assert_allclose(np.hypot(sine, cosine), signals["blur_anisotropy"], atol=1e-5)


def test_longer_motion_is_wider() -> None:
    widths = [read(moved(photos(), length, 30), "blur_sigma") for length in (3, 7, 15)]
    assert all((more > less).mean() >= 0.9 for less, more in itertools.pairwise(widths))


def test_blur_that_is_alike_in_all_directions_has_none() -> None:
    assert np.median(read(blurred(photos(), 2.0), "blur_anisotropy")) < 0.15
    assert np.median(read(photos(), "blur_anisotropy")) < 0.15
