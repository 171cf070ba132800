"""A camera in poor light: noise on the sensor's mosaic, wrong white balance, a coarse JPEG."""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.corruptions.base import RowCorruption, Rows, spread
from gatekeeper.corruptions.digital import through_jpeg
from gatekeeper.corruptions.noise import poisson_quantile
from gatekeeper.corruptions.randomness import normal, uniform
from gatekeeper.types import IntArray


class Camera(RowCorruption):
    """What a camera does to light, with a noisy sensor and a wrong white balance.

    Inverse tone curve -> Poisson noise of the photons and Gaussian noise of the read-out, on the
    Bayer mosaic (RGGB) -> bilinear demosaicing -> red and blue gains off by a factor, one up and
    one down as the seed draws -> tone curve -> JPEG. The tone curve is that of sRGB.

    Source:
        Ours; the order of the steps follows Brooks et al. 2019 (arXiv:1811.11127), "Unprocessing
        images for learned raw denoising", the noise Foi et al. 2008.
    """

    name = "camera"
    families = ("camera_noise", "white_balance", "jpeg")
    parameters = ("photons", "read_sigma", "gain_error", "quality")
    small_rows: Rows = (
        (1000.0, 0.004, 0.08, 85.0),
        (400.0, 0.008, 0.14, 75.0),
        (200.0, 0.012, 0.2, 65.0),
        (100.0, 0.018, 0.28, 55.0),
        (50.0, 0.025, 0.36, 45.0),
    )
    large_rows: Rows = (
        (200.0, 0.01, 0.1, 60.0),
        (80.0, 0.02, 0.18, 45.0),
        (40.0, 0.03, 0.26, 32.0),
        (18.0, 0.045, 0.36, 22.0),
        (8.0, 0.06, 0.48, 14.0),
    )
    source = "ours, after Brooks et al. 2019 (arXiv:1811.11127)"

    def transform(self, images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """Unprocess, expose, process."""
        return through_jpeg(self.developed(images, row, seeds), row["quality"])

    @staticmethod
    def developed(images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """The picture in [0, 1] before JPEG; arguments as for :meth:`transform`."""
        batch, _, height, width = images.shape
        device = images.device
        mosaic = (_linear(images) * _bayer(height, width, device)).sum(dim=1, keepdim=True)
        photons = spread(row["photons"].clamp(min=1.0))
        draw, read = (
            draws(seeds, height * width, stream=stream, device=device).reshape(mosaic.shape)
            for stream, draws in enumerate((uniform, normal))
        )
        counted = poisson_quantile(mosaic * photons, draw) / photons
        exposed = counted + spread(row["read_sigma"]) * read
        colours = _demosaiced(exposed, _bayer(height, width, device)).clamp(0.0, 1.0)
        warmer = uniform(seeds, 1, stream=2, device=device)[:, 0] < 0.5
        error = torch.where(warmer, row["gain_error"], -row["gain_error"])
        gains = torch.stack([torch.exp(error), torch.ones_like(error), torch.exp(-error)], dim=1)
        balanced = colours * gains.to(images.dtype).reshape(batch, 3, 1, 1)
        return _toned(balanced.clamp(0.0, 1.0))


def _linear(images: Tensor) -> Tensor:
    return torch.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055) ** 2.4)


def _toned(light: Tensor) -> Tensor:
    curve = 1.055 * light.clamp(min=1e-9) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, curve)


def _bayer(height: int, width: int, device: torch.device) -> Tensor:
    """Which channel each pixel of the sensor sees, shape (1, 3, H, W), of 0 and 1."""
    y = torch.arange(height, device=device)[:, None] % 2
    x = torch.arange(width, device=device)[None, :] % 2
    channel = (y + x)[None, :]
    return (channel == torch.arange(3, device=device)[:, None, None]).float()[None]


_WEIGHTS = ((0.25, 0.5, 0.25), (0.5, 1.0, 0.5), (0.25, 0.5, 0.25))


def _demosaiced(mosaic: Tensor, seen: Tensor) -> Tensor:
    """Three channels from one: the mean of the nearest pixels that see a channel, by distance.

    In the inside this is bilinear interpolation; a seen pixel keeps its value.
    """
    values = _weighed(mosaic * seen) / _weighed(seen).clamp(min=1e-6)
    return torch.where(seen > 0, mosaic, values)


def _weighed(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    wide = torch.nn.functional.pad(images, (1, 1, 1, 1))
    total = torch.zeros_like(images)
    for down, weights in enumerate(_WEIGHTS):
        for across, weight in enumerate(weights):
            total += weight * wide[:, :, down : down + height, across : across + width]
    return total
