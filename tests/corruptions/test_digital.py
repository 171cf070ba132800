from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.corruptions.digital import (
    ElasticTransform,
    JpegCompression,
    Pixelate,
    _affine_places,
)
from tests.contracts.corruption import CorruptionContract, noisy_images


def as_pil(image: torch.Tensor) -> Image.Image:
    return Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())


def codes(image: torch.Tensor) -> np.ndarray:
    return (image * 255).round().int().permute(1, 2, 0).numpy()


class TestJpegCompression(CorruptionContract):
    name = "jpeg_compression"

    @pytest.mark.parametrize(("height", "width"), [(28, 28), (33, 50), (224, 64)])
    def test_equals_pillow(self, height: int, width: int) -> None:
        images = noisy_images(height, width)
        for severity in (1, 5):
            quality = JpegCompression().levels_for(height, width)[severity - 1]
            got = JpegCompression()(images, severity=severity, seeds=np.arange(2))
            for row in range(2):
                stream = BytesIO()
                as_pil(images[row]).save(stream, "JPEG", quality=int(quality))
                np.testing.assert_array_equal(codes(got[row]), np.asarray(Image.open(stream)))

    def test_a_quality_per_image(self) -> None:
        images = noisy_images(16, 16, 1).expand(2, -1, -1, -1)
        got = JpegCompression().at(images, level=torch.tensor([90.0, 10.0]), seeds=np.arange(2))
        error = (got - images).abs().mean(dim=(1, 2, 3))
        assert error[0] < 0.9 * error[1]


class TestPixelate(CorruptionContract):
    name = "pixelate"

    @pytest.mark.parametrize("share", [0.95, 0.85, 0.65, 0.6, 0.4, 0.25])
    @pytest.mark.parametrize(("height", "width"), [(32, 32), (28, 41), (224, 96)])
    def test_equals_pillows_box_filter(self, share: float, height: int, width: int) -> None:
        images = noisy_images(height, width, 1)
        small = (int(width * share), int(height * share))
        picture = as_pil(images[0]).resize(small, Image.Resampling.BOX)
        expected = np.asarray(picture.resize((width, height), Image.Resampling.BOX))
        got = Pixelate().at(images, level=share, seeds=np.arange(1))
        # Pillow rounds to 8 bit between its two passes and upwards at one half.
        assert np.abs(codes(got[0]) - expected.astype(int)).max() <= 1

    def test_one_cell_is_the_mean(self) -> None:
        image = noisy_images(6, 9, 1)
        got = Pixelate().degrade(image, torch.full((1, 1, 1, 1), 0.17), np.arange(1))
        expected = image.mean(dim=(2, 3), keepdim=True).expand_as(image)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


class TestElasticTransform(CorruptionContract):
    name = "elastic_transform"

    def test_a_classifier_gets_no_better_as_severity_grows(self, corruption) -> None:
        """Severity grows in the local distortion, while the affine map shrinks.

        The published tables trade one for the other, so a classifier that minds displacement more
        than distortion gets better. What grows is how much neighbours are torn apart.
        """
        del corruption
        tears = []
        ramp = torch.linspace(0, 1, 32).expand(20, 3, 32, 32)
        for severity in range(1, 6):
            row = ElasticTransform.small_rows[severity - 1]
            only_local = {
                name: torch.full((20,), value if name != "corners_px" else 0.0)
                for name, value in zip(ElasticTransform.parameters, row, strict=True)
            }
            moved = ElasticTransform().transform(ramp, only_local, np.arange(20))
            tears.append(moved[:, 0, 4:-4, 4:-4].diff(dim=2).std().item())
        assert np.all(np.diff(tears) > 0)

    def test_nothing_moves_without_strength_and_corners(self) -> None:
        images = noisy_images(20, 31)
        none = dict.fromkeys(ElasticTransform.parameters, torch.zeros(2))
        still = ElasticTransform().transform(images, none, np.arange(2))
        torch.testing.assert_close(still, images, rtol=0, atol=1e-5)

    def test_the_affine_map_takes_three_points_where_they_were_sent(self) -> None:
        images, corners = torch.zeros(8, 3, 60, 60), torch.full((8,), 6.0)
        x, y = _affine_places(images, corners, np.arange(8))
        # Where the map finds the fixed point (50, 50): within a pixel's length of its target,
        # which is at most 6 px away along each axis.
        distance = ((x - 50) ** 2 + (y - 50) ** 2).flatten(1)
        nearest = distance.argmin(dim=1)
        assert (distance.min(dim=1).values < 1.5).all()
        rows, columns = torch.div(nearest, 60, rounding_mode="floor"), nearest % 60
        assert ((rows - 50).abs() <= 7).all()
        assert ((columns - 50).abs() <= 7).all()
        assert len(set(nearest.tolist())) > 4
