"""The triple median: the restorer for impulse noise."""

from __future__ import annotations

import hashlib

from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.filters import median_3x3
from gatekeeper.types import IntArray

_VERSION = 1
_PASSES = 3


class TripleMedian:
    """Three 3×3 medians in a row, channel by channel, borders mirrored.

    Removes isolated impulses exactly where the picture is flat; also removes lines one pixel wide.

    Source:
        CNN autoencoder denoising before classification (arXiv:2404.10664), the path for salt and
        pepper noise.
    """

    name = "median"

    @property
    def digest(self) -> str:
        """sha256 over the name, the version of the method and the number of passes."""
        return hashlib.sha256(f"{self.name} {_VERSION} {_PASSES}".encode()).hexdigest()

    def restore(self, images: Tensor, *, seeds: IntArray, mask: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same shape and range; sides of at least 2 px.

        Raises:
            InputError: a mask is given (this restorer fills no holes), or a side is 1 px.
        """
        if mask is not None:
            raise InputError("the median fills no holes: leave out the mask")
        if min(images.shape[2:]) < 2:
            raise InputError(
                f"expected images of at least 2 px per side, got "
                f"{images.shape[2]}×{images.shape[3]}; enlarge them first"
            )
        del seeds  # deterministic
        for _ in range(_PASSES):
            images = median_3x3(images)
        return images
