from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from gatekeeper.corruptions.blur import DefocusBlur, GaussianBlur, MotionBlur, ZoomBlur
from tests.contracts.corruption import CorruptionContract, PixelHarmContract, noisy_images


class TestGaussianBlur(PixelHarmContract):
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

    def test_lengths_shrink_with_the_side_from_224_to_64_px(self) -> None:
        blur = GaussianBlur()
        assert blur.levels_for(63, 300) == (0.6, 0.9, 1.2, 1.6, 2.0)
        assert blur.levels_for(300, 112) == (0.5, 1.0, 1.5, 2.0, 3.0)
        assert blur.levels_for(224, 224) == blur.levels_for(999, 300) == (1.0, 2.0, 3.0, 4.0, 6.0)


def response(blur: DefocusBlur | MotionBlur | ZoomBlur, severity: float, side: int) -> torch.Tensor:
    """What becomes of a single bright pixel in the middle, shape (side, side)."""
    image = torch.zeros(1, 3, side, side)
    image[:, :, side // 2, side // 2] = 1.0
    return blur.degrade(image, torch.full((1, 1, 1, 1), severity), np.array([5]))[0, 0].double()


class TestDefocusBlur(CorruptionContract):
    name = "defocus_blur"

    def test_small_disks_by_hand(self) -> None:
        # Radius 1: the pixel and its four neighbours, softened by a Gaussian of 0.2 px, of which
        # exp(-12.5) per step away is left.
        middle = response(DefocusBlur(), 4.0, 21)[8:13, 8:13]
        plus = torch.zeros(5, 5, dtype=torch.float64)
        plus[2, 1:4] = plus[1:4, 2] = 0.2
        torch.testing.assert_close(middle, plus, rtol=0, atol=1e-5)
        # Radius 0.3: a pixel, softened by 0.4 px: exp(-1 / (2 · 0.16)) of it beside.
        side = math.exp(-3.125) / (1 + 2 * math.exp(-3.125))
        line = torch.tensor([side, 1 - 2 * side, side], dtype=torch.float64)
        middle = response(DefocusBlur(), 1.0, 21)[9:12, 9:12]
        torch.testing.assert_close(middle, line[:, None] * line, rtol=0, atol=1e-6)

    def test_a_large_disk_is_flat_and_round(self) -> None:
        spot = response(DefocusBlur(), 5.0, 224)
        assert spot.sum().item() == pytest.approx(1, abs=1e-5)
        y, x = torch.meshgrid(torch.arange(224) - 112, torch.arange(224) - 112, indexing="ij")
        distance = torch.sqrt((x**2 + y**2).double())
        inside = spot[distance < 8]
        torch.testing.assert_close(
            inside, torch.full_like(inside, 1 / (math.pi * 100)), rtol=0.02, atol=0
        )
        assert spot[distance > 12.5].abs().max() < 1e-7

    @pytest.mark.parametrize(("severity", "low", "high"), [(2.25, 2, 3), (4.75, 4, 5)])
    def test_between_two_severities_lies_their_mixture(
        self, severity: float, low: int, high: int
    ) -> None:
        spots = [response(DefocusBlur(), s, 64) for s in (severity, low, high)]
        share = severity - low
        expected = (1 - share) * spots[1] + share * spots[2]
        torch.testing.assert_close(spots[0], expected, rtol=0, atol=1e-6)

    def test_equals_scipy(self) -> None:
        images = noisy_images(32, 40, 1)
        kernel = response(DefocusBlur(), 5.0, 21).numpy()
        expected = ndimage.convolve(images[0, 1].double().numpy(), kernel, mode="reflect")
        got = DefocusBlur().degrade(images, torch.full((1, 1, 1, 1), 5.0), np.array([1]))
        np.testing.assert_allclose(got[0, 1].numpy(), expected, atol=1e-5)


class TestMotionBlur(CorruptionContract):
    name = "motion_blur"

    def test_a_pixel_becomes_half_a_gaussian_along_a_line(self) -> None:
        spot = response(MotionBlur(), 3.0, 41)  # radius 6, sigma 2: thirteen steps
        weights = np.exp(-0.5 * (np.arange(13) / 2.0) ** 2)
        weights /= weights.sum()
        lit = spot[spot > 0].numpy()
        np.testing.assert_allclose(np.sort(lit)[::-1], weights, atol=1e-6)
        rows, columns = np.nonzero(spot.numpy())
        down, across = rows - 20, columns - 20
        assert (np.abs(down) <= np.abs(across) + 1).all()  # within 45° of the horizontal
        assert (across <= 0).all() or (across >= 0).all()  # to one side

    def test_seeds_draw_directions(self) -> None:
        images = noisy_images(20, 20, 1).expand(6, -1, -1, -1)
        smeared = MotionBlur()(images, severity=5, seeds=np.arange(6))
        assert len({tuple(image.flatten().tolist()) for image in smeared}) == 6


class TestZoomBlur(CorruptionContract):
    name = "zoom_blur"

    def test_equals_the_mean_of_scipys_enlargements(self) -> None:
        images = noisy_images(32, 32, 1)
        pixels = images[0, 2].double().numpy()
        total, zooms = pixels.copy(), [1.0 + 0.01 * step for step in range(7)]
        for zoom in zooms:
            kept = math.ceil(32 / zoom - 1e-9)
            top = (32 - kept) // 2
            large = ndimage.zoom(pixels[top : top + kept, top : top + kept], zoom, order=1)
            skip = (len(large) - 32) // 2
            total += large[skip : skip + 32, skip : skip + 32]
        got = ZoomBlur().degrade(images, torch.full((1, 1, 1, 1), 1.0), np.array([1]))
        np.testing.assert_allclose(got[0, 2].numpy(), total / 8, atol=1e-5)

    def test_between_two_severities_lies_their_mixture(self) -> None:
        images = noisy_images(32, 40, 1)
        low, high, between = (
            ZoomBlur().degrade(images, torch.full((1, 1, 1, 1), s), np.array([1]))
            for s in (2.0, 3.0, 2.5)
        )
        torch.testing.assert_close(between, (low + high) / 2, rtol=0, atol=1e-6)
