from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from gatekeeper.corruptions.warping import grid, looked_up, zoomed_places


def test_looking_up_equals_scipy_for_both_surroundings(rng: np.random.Generator) -> None:
    image = rng.random((9, 14)).astype(np.float32)
    x = rng.uniform(-12, 24, (2, 6, 7)).astype(np.float32)
    y = rng.uniform(-12, 18, (2, 6, 7)).astype(np.float32)
    got = looked_up(
        torch.from_numpy(image).expand(2, 1, 9, 14),
        torch.from_numpy(x),
        torch.from_numpy(y),
        torch.tensor([True, False]),
    )[:, 0].numpy()
    for row, mode in enumerate(("grid-constant", "reflect")):
        expected = ndimage.map_coordinates(image, [y[row], x[row]], order=1, mode=mode)
        np.testing.assert_allclose(got[row], expected, atol=2e-5)


def test_every_pixel_at_its_place_is_the_image(rng: np.random.Generator) -> None:
    images = torch.from_numpy(rng.random((2, 3, 8, 5), dtype=np.float32))
    torch.testing.assert_close(looked_up(images, *grid(images)), images, rtol=0, atol=1e-5)


def test_places_of_a_zoom_by_hand() -> None:
    # 10 / 1.3 -> 8 of 10 pixels from 1 on, over round(10.4) = 10 pixels: steps of 7/9.
    places = zoomed_places(10, torch.tensor([1.0, 1.3], dtype=torch.float64))
    expected = torch.stack([torch.arange(10.0), 1 + torch.arange(10.0) * 7 / 9])
    torch.testing.assert_close(places, expected)
