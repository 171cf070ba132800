"""Weather: snow, frost, fog."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gatekeeper.corruptions.base import RowCorruption, Rows, spread
from gatekeeper.corruptions.filtering import motion_blur
from gatekeeper.corruptions.plasma import plasma
from gatekeeper.corruptions.randomness import normal, uniform
from gatekeeper.corruptions.warping import looked_up, zoomed_places
from gatekeeper.types import IntArray

_SOURCE = "Hendrycks, Dietterich 2019 (arXiv:1903.12261)"
_LUMA = (0.299, 0.587, 0.114)


class Snow(RowCorruption):
    """Flakes that fall along one direction over a whitened image.

    Flakes are the peaks of enlarged white noise, smeared; they fall twice, once turned by 180°.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261). Without rounding between the steps.
    """

    name = "snow"
    families = ("snow",)
    parameters = ("mean", "sigma", "grain_px", "threshold", "radius_px", "streak_px", "kept")
    lengths = frozenset({"grain_px", "radius_px", "streak_px"})
    small_rows: Rows = (
        (0.1, 0.2, 1.0, 0.6, 8.0, 3.0, 0.95),
        (0.1, 0.2, 1.0, 0.5, 10.0, 4.0, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10.0, 4.0, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12.0, 6.0, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14.0, 12.0, 0.8),
    )
    large_rows: Rows = (
        (0.1, 0.3, 3.0, 0.5, 10.0, 4.0, 0.8),
        (0.2, 0.3, 2.0, 0.5, 12.0, 4.0, 0.7),
        (0.55, 0.3, 4.0, 0.9, 12.0, 8.0, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12.0, 8.0, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12.0, 12.0, 0.55),
    )
    source = _SOURCE

    def transform(self, images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """Whiten, then let it snow."""
        height, width = images.shape[2:]
        noise = normal(seeds, height * width, device=images.device)
        noise = noise.reshape(-1, 1, height, width) * spread(row["sigma"]) + spread(row["mean"])
        zoom = row["grain_px"].clamp(min=1.0)
        x, y = zoomed_places(width, zoom), zoomed_places(height, zoom)
        flakes = looked_up(noise, x[:, None, :], y[:, :, None])
        flakes = torch.where(flakes < spread(row["threshold"]), torch.zeros_like(flakes), flakes)
        draw = uniform(seeds, 1, stream=1, device=images.device)[:, 0].double()
        angle = (-0.75 + 0.5 * draw) * math.pi
        streak = row["streak_px"].clamp(min=0.1)
        flakes = motion_blur(flakes.clamp(0.0, 1.0), row["radius_px"], streak, angle)
        luma = torch.tensor(_LUMA, device=images.device).reshape(1, 3, 1, 1)
        grey = (images * luma).sum(dim=1, keepdim=True)
        kept = spread(row["kept"].clamp(max=1.0))
        white = torch.maximum(images, grey * 1.5 + 0.5)
        return kept * images + (1.0 - kept) * white + flakes + flakes.flip(2, 3)


class Frost(RowCorruption):
    """Ice crystals over a dimmed image.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261) for the mixture. Deviates: they cut the ice
        out of six photographs, ours is drawn from ridges of two fractal fields and is grey.
    """

    name = "frost"
    families = ("frost",)
    parameters = ("kept", "ice")
    small_rows: Rows = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))
    large_rows: Rows = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
    source = _SOURCE

    def transform(self, images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """Dim the image and add the ice."""
        ice = _ice(seeds, images.shape[2], images.shape[3], images.device)
        return spread(row["kept"]) * images + spread(row["ice"]) * ice[:, None]


def _ice(seeds: IntArray, height: int, width: int, device: torch.device) -> Tensor:
    """Crystals (B, H, W) in [0.1, 1]: bright needles where a fractal field crosses its middle."""
    one = torch.ones(len(seeds), dtype=torch.float64, device=device)
    coarse = plasma(seeds, height, width, 1.6 * one, stream=0)
    fine = plasma(seeds, height, width, 1.25 * one, stream=1)
    needles = 1.0 - (2.0 * coarse - 1.0).abs()
    grain = 1.0 - (2.0 * fine - 1.0).abs()
    return 0.1 + 0.55 * needles**2 + 0.35 * grain


class Fog(RowCorruption):
    """A fractal veil of light, rescaled so that the brightest pixel keeps its value.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261); the veil is ``plasma``.
    """

    name = "fog"
    families = ("fog",)
    parameters = ("thickness", "decay")
    small_rows: Rows = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))
    large_rows: Rows = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))
    source = _SOURCE

    def transform(self, images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """Add the veil and rescale."""
        veil = plasma(seeds, images.shape[2], images.shape[3], row["decay"].clamp(min=1.0))
        thickness = spread(row["thickness"])
        brightest = images.amax(dim=(1, 2, 3), keepdim=True)
        return (images + thickness * veil[:, None]) * brightest / (brightest + thickness)
