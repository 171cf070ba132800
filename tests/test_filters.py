from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from gatekeeper.filters import median_3x3


@pytest.mark.parametrize("shape", [(2, 3, 17, 24), (1, 1, 2, 2), (1, 3, 2, 9), (3, 1, 5, 3)])
def test_median_equals_scipy(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    images = rng.random(shape, dtype=np.float32)
    expected = ndimage.median_filter(images, size=(1, 1, 3, 3), mode="mirror")
    np.testing.assert_array_equal(median_3x3(torch.from_numpy(images)).numpy(), expected)


def test_median_of_every_order_of_nine_binary_values_is_the_majority() -> None:
    # By the 0-1 principle a network that is right on all 512 binary patterns is right on all.
    patterns = (torch.arange(512)[:, None] >> torch.arange(9)) & 1
    images = patterns.float().reshape(512, 1, 3, 3)
    centre = median_3x3(images)[:, 0, 1, 1]
    assert torch.equal(centre, (patterns.sum(dim=1) >= 5).float())


def test_median_leaves_its_input_untouched(rng: np.random.Generator) -> None:
    images = torch.from_numpy(rng.random((2, 3, 8, 8), dtype=np.float32))
    before = images.clone()
    median_3x3(images)
    assert torch.equal(images, before)
