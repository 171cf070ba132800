"""The one door through which images of another size come: files and data sets alike."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from gatekeeper.errors import InputError


def fit_to(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale until the image covers ``size``, then cut out the centre.

    Bilinear with antialiasing. Images of the right size are returned as they are; others are
    rounded to 8-bit levels, so that an image has one digest whether it came as a file or was
    stored in a data set.

    Args:
        images: Shape (B, 3, H, W), values in [0, 1].
        size: Wanted height and width, each at least 1.

    Returns:
        Shape (B, 3, h, w), values in [0, 1]. A row does not depend on the others.

    Raises:
        InputError: the shape is another one or the size is below 1.
    """
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 1:
        raise InputError(f"images must have shape (B, 3, H, W), got {tuple(images.shape)}")
    height, width = size
    if height < 1 or width < 1:
        raise InputError(f"a size is height and width of at least 1 pixel, got {height}×{width}")
    have_height, have_width = images.shape[2:]
    if (have_height, have_width) == (height, width):
        return images
    scale = max(height / have_height, width / have_width)
    covering = (
        max(height, round(have_height * scale)),
        max(width, round(have_width * scale)),
    )
    scaled = F.interpolate(
        images.contiguous(), size=covering, mode="bilinear", align_corners=False, antialias=True
    )
    top, left = (covering[0] - height) // 2, (covering[1] - width) // 2
    cut = scaled[:, :, top : top + height, left : left + width]
    return (cut * 255).round().clamp(0, 255) / 255
