"""Image filters that several rooms share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Each pair puts the smaller value first; afterwards place 4 holds the median of nine.
_MEDIAN_OF_NINE = (
    (1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8),
    (0, 3), (5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2),
)  # fmt: skip


def median_3x3(images: Tensor) -> Tensor:
    """Median of every pixel's 3×3 neighbourhood, channel by channel, borders mirrored.

    Nine shifted copies pass a fixed network of minima and maxima, which is exact and much faster
    than sorting.

    Args:
        images: Shape (B, C, H, W), sides of at least 2 px; left untouched.

    Returns:
        Same shape; every value is one of the input's.

    Source:
        Paeth 1990, "Median finding on a 3×3 grid" (Graphics Gems I).
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    p = [padded[:, :, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    for i, j in _MEDIAN_OF_NINE:
        p[i], p[j] = torch.minimum(p[i], p[j]), torch.maximum(p[i], p[j])
    return p[4]
