"""Spatter: drops of water or splashes of mud on the lens."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gatekeeper.corruptions.base import RowCorruption, Rows, length_scale, spread
from gatekeeper.corruptions.filtering import gaussian_blur, padded
from gatekeeper.corruptions.randomness import normal
from gatekeeper.types import IntArray

_WATER = (175 / 255, 238 / 255, 238 / 255)
_MUD = (63 / 255, 42 / 255, 20 / 255)
_REACH_PX = 20
_SOBEL = ((-1, 1.0), (0, 2.0), (1, 1.0))
_TAN_22, _TAN_67 = math.tan(math.pi / 8), math.tan(3 * math.pi / 8)
_LEAST_GRADIENT = 100.0  # between the thresholds 50 and 150 of the source's detector
_RELIEF = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))  # light from the upper left


class Spatter(RowCorruption):
    """Water (severities 1 to 3) or mud (4 and 5) where smoothed noise exceeds a threshold.

    Water shines by its distance from the rim of its drop, in relief; mud covers.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261). Deviates: the edge detector has one
        threshold; distances are exact; an image without a drop stays as it is.
    """

    name = "spatter"
    families = ("spatter",)
    parameters = ("mean", "sigma", "blob_px", "threshold", "strength", "mud")
    lengths = frozenset({"blob_px"})
    small_rows: Rows = (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0.0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0.0),
        (0.65, 0.3, 1.0, 0.69, 0.5, 0.0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1.0),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1.0),
    )
    large_rows: Rows = (
        (0.65, 0.3, 4.0, 0.69, 0.6, 0.0),
        (0.65, 0.3, 3.0, 0.68, 0.6, 0.0),
        (0.65, 0.3, 2.0, 0.68, 0.5, 0.0),
        (0.65, 0.3, 1.0, 0.65, 1.5, 1.0),
        (0.67, 0.4, 1.0, 0.65, 1.5, 1.0),
    )
    regimes = (0, 0, 0, 1, 1)
    definition = 2
    source = "Hendrycks, Dietterich 2019 (arXiv:1903.12261)"

    def transform(self, images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """Throw the liquid of each image's severity at it."""
        height, width = images.shape[2:]
        liquid = normal(seeds, height * width, device=images.device)
        liquid = liquid.reshape(-1, 1, height, width) * spread(row["sigma"]) + spread(row["mean"])
        liquid = gaussian_blur(liquid, row["blob_px"], border="edge")
        wet = liquid >= spread(row["threshold"])
        spattered = images.clone()
        mud = row["mud"] > 0.5
        if bool((~mud).any()):
            shine = _shine(liquid[~mud], wet[~mud], length_scale(height, width))
            water = spread(row["strength"][~mud]) * shine
            spattered[~mud] = images[~mud] + water * _colour(_WATER, images.device)
        if bool(mud.any()):
            sigma = row["strength"][mud] * length_scale(height, width)
            cover = gaussian_blur(wet[mud].to(images.dtype), sigma, border="edge")
            cover = torch.where(cover < 0.8, torch.zeros_like(cover), cover)
            spattered[mud] = images[mud] * (1 - cover) + cover * _colour(_MUD, images.device)
        return spattered


def _colour(values: tuple[float, float, float], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device).reshape(1, 3, 1, 1)


def _shine(liquid: Tensor, wet: Tensor, scale: float) -> Tensor:
    """Brightness of the water, at most 1 in each image that has any, shape (B, 1, H, W)."""
    reach = max(2, round(_REACH_PX * scale))
    codes = torch.where(wet, (liquid.clamp(0.0, 1.0) * 255.0).floor(), torch.zeros_like(liquid))
    distance = _distance(_edges(codes), reach)
    level = _equalised(torch.floor(_box(distance)).long(), reach)
    relief = (_relief(level)).round().clamp(0.0, 255.0)
    shine = torch.where(wet, liquid.clamp(0.0, 1.0) * _box(relief), torch.zeros_like(liquid))
    most = shine.amax(dim=(1, 2, 3), keepdim=True)
    return shine / torch.where(most > 0, most, torch.ones_like(most))


def _edges(liquid: Tensor) -> Tensor:
    """Edges of the drops: pixels whose gradient exceeds those across it, boolean, shape unchanged.

    Source:
        Canny 1986. Without hysteresis: where a drop ends, the gradient is far above any threshold.
    """
    height, width = liquid.shape[2:]
    wide = padded(padded(liquid, 1, 2, border="edge"), 1, 3, border="edge")

    def beside(down: int, across: int, of: Tensor) -> Tensor:
        return of[:, :, 1 + down : 1 + down + height, 1 + across : 1 + across + width]

    across, down = torch.zeros_like(liquid), torch.zeros_like(liquid)
    for step, weight in _SOBEL:
        across += weight * (beside(step, 1, wide) - beside(step, -1, wide))
        down += weight * (beside(1, step, wide) - beside(-1, step, wide))
    size = across.abs() + down.abs()
    ring = F.pad(size, (1, 1, 1, 1))
    steep = down.abs() >= across.abs() * _TAN_67
    flat = down.abs() < across.abs() * _TAN_22
    largest = torch.where(
        flat,
        (size > beside(0, -1, ring)) & (size >= beside(0, 1, ring)),
        torch.where(
            steep,
            (size > beside(-1, 0, ring)) & (size >= beside(1, 0, ring)),
            torch.where(
                across * down < 0,
                (size > beside(-1, 1, ring)) & (size > beside(1, -1, ring)),
                (size > beside(-1, -1, ring)) & (size > beside(1, 1, ring)),
            ),
        ),
    )
    return largest & (size > _LEAST_GRADIENT)


def _distance(marked: Tensor, reach: int) -> Tensor:
    """Euclidean distance in pixels to the nearest marked pixel, at most ``reach``."""
    far = float(reach**2)
    squared = torch.where(marked, 0.0, far)
    for axis in (2, 3):
        wide = padded(squared, reach, axis, border="edge")
        best = squared
        size = squared.shape[axis]
        for step in range(-reach + 1, reach):
            # Beyond the border the outermost pixel is repeated: it is nearer than it seems there,
            # never farther, and its own step is among those taken.
            best = torch.minimum(best, wide.narrow(axis, reach + step, size) + float(step**2))
        squared = best
    return squared.clamp(max=far).sqrt()


def _box(images: Tensor) -> Tensor:
    """Mean over 3 × 3 pixels, borders repeated."""
    for axis in (2, 3):
        wide = padded(images, 1, axis, border="edge")
        size = images.shape[axis]
        images = (wide.narrow(axis, 0, size) + wide.narrow(axis, 1, size)) + wide.narrow(
            axis, 2, size
        )
    return images / 9.0


def _equalised(codes: Tensor, most: int) -> Tensor:
    """Codes 0…most replaced by their rank in the image, 0…255, shape unchanged."""
    flat = codes.flatten(1)
    counts = torch.zeros(len(flat), most + 1, dtype=torch.int64, device=codes.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    total = counts.cumsum(dim=1)
    first = total.gather(1, (counts > 0).long().argmax(dim=1, keepdim=True))
    rank = (total - first).float() / (flat.shape[1] - first).clamp(min=1).float()
    return (rank * 255.0).round().gather(1, flat).reshape(codes.shape)


def _relief(level: Tensor) -> Tensor:
    height, width = level.shape[2:]
    wide = padded(padded(level, 1, 2, border="edge"), 1, 3, border="edge")
    total = torch.zeros_like(level)
    for down, weights in enumerate(_RELIEF):
        for across, weight in enumerate(weights):
            total += weight * wide[:, :, down : down + height, across : across + width]
    return total
