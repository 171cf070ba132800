from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from gatekeeper.corruptions.blur import GaussianBlur
from tests.contracts.corruption import CorruptionContract


class TestGaussianBlur(CorruptionContract):
    name = "gaussian_blur"

    @pytest.mark.parametrize("sigma", [*GaussianBlur.levels, 0.05, 3.3])
    @pytest.mark.parametrize("size", [(28, 33), (5, 6), (9, 40), (1, 7)])
    def test_equals_scipy(
        self, rng: np.random.Generator, sigma: float, size: tuple[int, int]
    ) -> None:
        images = rng.random((2, 3, *size), dtype=np.float32)
        expected = ndimage.gaussian_filter(
            images.astype(np.float64), sigma=(0, 0, sigma, sigma), mode="reflect", truncate=4.0
        )
        blurred = GaussianBlur().degrade(
            torch.from_numpy(images), torch.full((2, 1, 1, 1), sigma), np.arange(2)
        )
        np.testing.assert_allclose(blurred.numpy(), expected, rtol=0, atol=1e-5)

    def test_each_image_of_a_batch_has_its_own_width(self, rng: np.random.Generator) -> None:
        images = torch.from_numpy(rng.random((3, 3, 20, 20), dtype=np.float32))
        level = torch.tensor([0.6, 2.0, 1.2]).reshape(3, 1, 1, 1)
        together = GaussianBlur().degrade(images, level, np.arange(3))
        for i in range(3):
            alone = GaussianBlur().degrade(images[i : i + 1], level[i : i + 1], np.arange(1))
            torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-6)
