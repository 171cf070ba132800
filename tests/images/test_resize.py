from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.errors import InputError
from gatekeeper.images import fit_to


def test_an_image_of_the_right_size_is_returned_as_it_is():
    images = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    assert fit_to(images, (5, 7)) is images


def test_halving_averages_with_the_triangle_filter():
    # A row 0 0 255 255 halved: the antialiased triangle filter has half-width 2, so the left
    # pixel weighs samples at distance .5 .5 1.5 by .75 .75 .25, cut off at the border.
    row = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 3, 4, 4)
    halved = fit_to(row, (2, 2))
    left = round(255 * 0.25 / 1.75) / 255
    assert halved[0, 0, 0].tolist() == pytest.approx([left, 1 - left])


def test_the_centre_is_cut_out_after_covering_the_size():
    # 4 high, 8 wide, columns 0…7: to 4×4 needs no scaling, so columns 2…5 remain.
    columns = (torch.arange(8.0) / 255).expand(1, 3, 4, 8)
    cut = fit_to(columns, (4, 4))
    assert (cut[0, 0, 0] * 255).round().tolist() == [2, 3, 4, 5]


def test_it_agrees_with_pillows_antialiased_bilinear_filter():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((13, 13), Image.Resampling.BILINEAR))
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    got = (fit_to(images, (13, 13))[0] * 255).round().permute(1, 2, 0).numpy()
    assert np.abs(got - expected).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(20, 31), (31, 20), (3, 3), (7, 50)])
def test_values_are_8_bit_levels_and_the_size_is_exact(height, width):
    images = torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(1))
    fitted = fit_to(images, (9, 11))
    assert fitted.shape == (3, 3, 9, 11)
    levels = fitted * 255
    assert torch.equal(levels.round() / 255, fitted)
    assert 0 <= float(fitted.min()) <= float(fitted.max()) <= 1


def test_a_row_does_not_depend_on_its_batch():
    images = torch.rand(5, 3, 24, 17, generator=torch.Generator().manual_seed(2))
    together = fit_to(images, (8, 8))
    alone = torch.cat([fit_to(image[None], (8, 8)) for image in images])
    assert torch.equal(together, alone)
    strided = fit_to(images.contiguous(memory_format=torch.channels_last), (8, 8))
    assert torch.equal(together, strided)


def test_a_constant_image_stays_constant():
    assert torch.equal(fit_to(torch.ones(1, 3, 50, 20), (7, 7)), torch.ones(1, 3, 7, 7))


@pytest.mark.parametrize("size", [(0, 4), (4, -1)])
def test_an_impossible_size_is_refused(size):
    with pytest.raises(InputError, match="at least 1 pixel"):
        fit_to(torch.zeros(1, 3, 4, 4), size)


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 1, 4, 4), (1, 3, 0, 4)])
def test_another_shape_is_refused(shape):
    with pytest.raises(InputError, match=r"\(B, 3, H, W\)"):
        fit_to(torch.zeros(shape), (4, 4))
