"""Images distorted at a level: all coordinates one after the other, in a fixed order.

Geometry (rotation, scale, shift: one look-up), blur, brightness, contrast, noise, compression: the
order in which a scene, a lens, a sensor and a file change an image. A coordinate at its identity
is left out, so the level at which all are is the image itself, bit by bit. The noise of an image
comes from its own seed and is the same field at every level, scaled: accuracy then varies smoothly
from level to level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from gatekeeper.corruptions import store_8_bit
from gatekeeper.corruptions.digital import through_jpeg
from gatekeeper.corruptions.filtering import gaussian_blur
from gatekeeper.corruptions.randomness import pixel_normal
from gatekeeper.corruptions.tone import Contrast
from gatekeeper.corruptions.warping import grid, looked_up
from gatekeeper.errors import InputError
from gatekeeper.levels.space import COORDINATES
from gatekeeper.types import IntArray

ORDER = (
    "rotation",
    "scale",
    "shift_x",
    "shift_y",
    "blur_sigma",
    "brightness",
    "contrast",
    "noise_sigma",
    "jpeg_quality",
)
"""In this order, whatever the order of the spec."""

DEFINITION = 1
"""Number of the present definition; it changes with the images that come out."""

_GEOMETRIC = frozenset({"rotation", "scale", "shift_x", "shift_y"})


def distort(images: Tensor, level: Mapping[str, float], seeds: IntArray) -> Tensor:
    """Images at a level.

    Args:
        images: Shape (B, 3, H, W), in [0, 1]; left untouched.
        level: Coordinate -> value in its own unit; a coordinate that is not named is at its
            identity.
        seeds: One integer per image, shape (B,); the noise of an image depends on its own only.

    Returns:
        Shape (B, 3, H, W), in [0, 1], rounded to 8 bit.

    Raises:
        InputError: a coordinate is unknown, a value is not finite, or there is not one seed per
            image.
    """
    unknown = sorted(set(level) - set(COORDINATES))
    if unknown or not all(math.isfinite(value) for value in level.values()):
        raise InputError(
            f"expected finite values of {', '.join(COORDINATES)}, got {dict(level)!r}: "
            f"{'leave out ' + ', '.join(unknown) if unknown else 'give numbers'}"
        )
    if len(seeds) != len(images):
        raise InputError(f"expected one seed per image ({len(images)}), got {len(seeds)}")
    active = {n: level[n] for n in ORDER if n in level and level[n] != COORDINATES[n].identity}
    moved = _GEOMETRIC & active.keys()
    result = _moved(images, active) if moved else images
    for name, value in active.items():
        if name not in _GEOMETRIC:
            result = _applied(result, name, value, seeds)
    return store_8_bit(result)


def _moved(images: Tensor, level: Mapping[str, float]) -> Tensor:
    """Rotation and scale about the middle, then the shift; the surroundings mirror the image."""
    height, width = images.shape[2:]
    middle = (width - 1) / 2, (height - 1) / 2
    x, y = grid(images)
    # Backwards: where in the input each output pixel comes from.
    x = x - middle[0] - level.get("shift_x", 0.0) * width
    y = y - middle[1] - level.get("shift_y", 0.0) * height
    angle, scale = math.radians(level.get("rotation", 0.0)), level.get("scale", 1.0)
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    # Rows count downwards, so this turns the picture counter-clockwise.
    return looked_up(images, cosine * x - sine * y + middle[0], sine * x + cosine * y + middle[1])


def _applied(images: Tensor, name: str, value: float, seeds: IntArray) -> Tensor:
    strengths = torch.full((len(images),), value, device=images.device)
    if name == "blur_sigma":
        return gaussian_blur(images, strengths, border="mirror")
    if name == "brightness":
        return images * value
    if name == "contrast":
        return Contrast().degrade(images, strengths.reshape(-1, 1, 1, 1), seeds)
    if name == "noise_sigma":
        return images + value * pixel_normal(images, seeds)
    return through_jpeg(images, strengths)
