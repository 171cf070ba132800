"""Views by hand arithmetic."""

from __future__ import annotations

import pytest
import torch

from gatekeeper.errors import InputError
from gatekeeper.views import VIEWS, check_views, flip, smooth


def test_flip_mirrors_left_and_right() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4).repeat(1, 3, 1, 1) / 12
    assert flip(image)[0, 0, 0].tolist() == image[0, 0, 0].tolist()[::-1]
    assert torch.equal(flip(flip(image)), image)


def test_smooth_spreads_a_point_by_the_binomial_kernel() -> None:
    image = torch.zeros(1, 3, 5, 5)
    image[:, :, 2, 2] = 1.0
    expected = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    torch.testing.assert_close(smooth(image)[0, 1, 1:4, 1:4], expected)


def test_smooth_keeps_a_constant_and_divides_white_noise_as_stated() -> None:
    torch.testing.assert_close(smooth(torch.full((2, 3, 8, 8), 0.3)), torch.full((2, 3, 8, 8), 0.3))
    noise = 0.5 + 0.05 * torch.randn(1, 3, 200, 200, generator=torch.Generator().manual_seed(0))
    # (1/16 + 4/16 + 1/16) per axis: a standard deviation of 0.375
    assert float(smooth(noise).std() / noise.std()) == pytest.approx(0.375, abs=0.01)


def test_unknown_and_repeated_views_are_refused() -> None:
    assert check_views(["smooth", "flip"]) == ("smooth", "flip")
    with pytest.raises(InputError, match="did you mean flip"):
        check_views(["flipp"])
    with pytest.raises(InputError, match="each view once"):
        check_views(["flip", "flip"])
    assert set(VIEWS) == {"flip", "smooth"}
