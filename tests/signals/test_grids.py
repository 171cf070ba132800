"""JPEG of known quality, pixels of known size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.signals.grids import _COEFFICIENTS, _coefficients, _step
from tests.signals.known import as_jpeg, grey, normal, photos, pixelated, read, read_all

QUALITIES = (90, 60, 30, 10)


@pytest.mark.parametrize("quality", [10, 35, 50, 75, 90])
def test_steps_are_those_of_the_encoder(quality: int, tmp_path) -> None:
    file = tmp_path / "a.jpg"
    Image.new("L", (16, 16), 99).save(file, quality=quality)
    with Image.open(file) as image:
        table = np.asarray(image.quantization[0]).reshape(8, 8)
    assert [_step(at_50, quality) for _, at_50 in _COEFFICIENTS] == [
        table[place] for place, _ in _COEFFICIENTS
    ]


def test_coefficients_are_those_of_scipy() -> None:
    from scipy.fft import dctn

    luma = torch.rand(2, 16, 24, generator=torch.Generator().manual_seed(1))
    found = _coefficients(luma).numpy()
    block = dctn(luma[1, 8:16, 16:24].numpy() * 255, norm="ortho")
    expected = [block[place] for place, _ in _COEFFICIENTS]
    np.testing.assert_allclose(found[1, :, -1], expected, rtol=1e-3, atol=1e-3)


def test_quality_is_ordered_on_every_photograph() -> None:
    coded = [as_jpeg(photos(), quality) for quality in QUALITIES]
    signals = [read_all(images) for images in coded]
    for name in ("blockiness", "jpeg_loss"):
        values = [one[name] for one in signals]
        for better, worse in itertools.pairwise(values):
            assert (worse > better).mean() >= 0.9, name
        assert (values[-1] > read(photos(), name) + 0.3).all(), name


def test_quality_is_read_off_the_table() -> None:
    for quality in (20, 60):
        loss = read(as_jpeg(photos(), quality), "jpeg_loss")
        assert np.median(loss) == pytest.approx(1 - quality / 100, abs=0.15)
    assert (read(photos(), "jpeg_loss") < 0.1).all()


def test_quality_is_ordered_in_small_images() -> None:
    coded = [as_jpeg(photos(32, 7.0), quality) for quality in (90, 50, 20)]
    values = [read(images, "jpeg_loss") for images in coded]
    for better, worse in itertools.pairwise(values):
        assert (worse > better).mean() >= 0.9


def test_a_shifted_grid_shows_only_where_it_lies() -> None:
    shifted = as_jpeg(photos(), 15)[:, :, 3:, 5:].contiguous()
    assert (read(shifted, "blockiness_shifted") > read(shifted, "blockiness") + 0.2).all()
    assert np.median(read(shifted, "jpeg_loss")) < 0.1


def test_blockiness_of_steps_by_hand() -> None:
    # Steps of 0.08 at every eighth column, none elsewhere, and no change downwards.
    columns = 0.1 + 0.08 * (torch.arange(64) // 8)
    image = grey(columns.expand(64, 64))
    mean = 7 * 0.08 / 63
    # Seven of them in eight places, of which the last lies beyond the border.
    expected = 0.5 * 0.08 / (mean + 1e-3)
    assert read(image, "blockiness")[0] == pytest.approx(min(4.0, expected), rel=1e-3)


@pytest.mark.parametrize("block", [2, 3, 6])
@pytest.mark.parametrize(("side", "shrink"), [(184, 1.6), (48, 5.0)])
def test_the_size_of_the_pixels(block: int, side: int, shrink: float) -> None:
    images = pixelated(photos(side, shrink), block)
    assert np.median(2 ** read(images, "pixel_block")) == pytest.approx(block, rel=0.15)


def test_photographs_and_noise_have_pixels_of_one() -> None:
    assert (2 ** read(photos(), "pixel_block") < 1.6).all()
    assert (2 ** read(0.5 + 0.1 * normal(2, 3, 64, 64), "pixel_block") < 1.1).all()
    # Stripes in one direction are no squares.
    stripes = 0.5 + 0.2 * (torch.arange(64) // 4 % 2)
    assert 2 ** read(grey(stripes.expand(64, 64)), "pixel_block")[0] < 1.1
