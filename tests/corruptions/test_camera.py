from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab  # only to have a second opinion of the tone curve

from gatekeeper.corruptions.camera import Camera, _bayer, _demosaiced, _linear, _toned
from tests.contracts.corruption import CorruptionContract, smooth_images


class TestCamera(CorruptionContract):
    name = "camera"

    @staticmethod
    def row(**changes: float) -> dict[str, torch.Tensor]:
        ideal = {"photons": 1e9, "read_sigma": 0.0, "gain_error": 0.0, "quality": 100.0}
        return {k: torch.full((5,), v, dtype=torch.float64) for k, v in (ideal | changes).items()}

    def test_an_ideal_camera_changes_little(self) -> None:
        images = smooth_images()
        taken = Camera().transform(images, self.row(), np.arange(5))
        assert (taken - images).abs().mean() < 0.01

    def test_noise_of_grey_light_follows_photons_and_read_out(self) -> None:
        grey = torch.full((5, 3, 64, 64), 0.6)
        light = _linear(torch.tensor(0.6)).item()
        taken = Camera.developed(grey, self.row(photons=2000.0, read_sigma=0.01), np.arange(5))
        # Green is seen by every second pixel and interpolated from four, by halves of chequers:
        # its seen pixels carry the sensor's own variance.
        y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
        green = _linear(taken[:, 1])[:, (y + x) % 2 == 1]
        expected = light / 2000 + 0.01**2
        assert green.var().item() == pytest.approx(expected, rel=0.1)

    def test_gains_move_red_and_blue_apart(self) -> None:
        grey = torch.full((5, 3, 16, 16), 0.5)
        taken = _linear(Camera().transform(grey, self.row(gain_error=0.3), np.arange(5)))
        mean = taken.mean(dim=(2, 3))
        ratio = torch.log(mean[:, 0] / mean[:, 2])
        torch.testing.assert_close(ratio.abs(), torch.full((5,), 0.6), rtol=0, atol=0.03)
        assert len(set(torch.sign(ratio).tolist())) == 2


def test_the_tone_curve_is_that_of_srgb_and_inverts() -> None:
    values = torch.linspace(0, 1, 256)
    torch.testing.assert_close(_toned(_linear(values)), values, rtol=0, atol=1e-5)
    # Lightness L* = 116 Y^(1/3) - 16 above Y = 0.008856 ties the curve to an independent library.
    lightness = rgb2lab(values[30:, None].expand(-1, 3).numpy()[None])[0, :, 0]
    light = ((lightness + 16) / 116) ** 3
    np.testing.assert_allclose(_linear(values[30:]).numpy(), light, atol=1e-4)


def test_each_pixel_sees_one_channel_and_green_twice_as_often() -> None:
    seen = _bayer(4, 6, torch.device("cpu"))[0]
    assert torch.equal(seen.sum(dim=0), torch.ones(4, 6))
    assert [int(channel.sum()) for channel in seen] == [6, 12, 6]
    assert seen[0, 0, 0] == seen[1, 0, 1] == seen[1, 1, 0] == seen[2, 1, 1] == 1


def test_demosaicing_is_exact_for_ramps_inside_and_for_flats_everywhere() -> None:
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(10.0), indexing="ij")
    ramp = torch.stack([0.01 * x + 0.02 * y, 0.03 * x, 0.5 - 0.02 * y])[None]
    for image, inside in ((ramp, slice(1, -1)), (0 * ramp + 0.3, slice(None))):
        seen = _bayer(8, 10, torch.device("cpu"))
        back = _demosaiced((image * seen).sum(dim=1, keepdim=True), seen)
        torch.testing.assert_close(back[:, :, inside, inside], image[:, :, inside, inside])
