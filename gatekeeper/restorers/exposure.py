"""Automatic levels: the restorer for under-exposure."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.types import IntArray

_VERSION = 1
_BLACK_QUANTILE = 0.02
_WHITE_QUANTILE = 0.995
_LEAST_RANGE = 0.02


class Exposure:
    """Stretches every image so that its darkest tones become black and its brightest white.

    Black point and white point are quantiles of luminance (the mean of the three channels), so
    that a few outliers do not set the scale; all channels share one gain, so that hues stay. What
    lies beyond the points is clipped. An image whose points are closer than 0.02 is returned as it
    is: there is nothing to stretch but noise.

    A loss of contrast is a stretch of the same kind, so this undoes it too. It also brightens what
    was meant to be dark: whether the restored answer is believed is the gate's business.

    Source:
        Gonzalez, Woods, "Digital Image Processing", contrast stretching. Deviates in quantiles in
        place of minimum and maximum.
    """

    name = "exposure"

    @property
    def digest(self) -> str:
        """sha256 over the name, the version of the method and its constants."""
        constants = f"{_BLACK_QUANTILE} {_WHITE_QUANTILE} {_LEAST_RANGE}"
        return hashlib.sha256(f"{self.name} {_VERSION} {constants}".encode()).hexdigest()

    def restore(self, images: Tensor, *, seeds: IntArray, mask: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same shape and range.

        Raises:
            InputError: a mask is given (this restorer fills no holes).
        """
        if mask is not None:
            raise InputError("the exposure restorer fills no holes: leave out the mask")
        del seeds  # deterministic
        ranked = images.mean(dim=1).flatten(1).sort(dim=1).values
        last = ranked.shape[1] - 1
        black = ranked[:, round(_BLACK_QUANTILE * last)][:, None, None, None]
        white = ranked[:, round(_WHITE_QUANTILE * last)][:, None, None, None]
        spread = white - black
        flat = spread < _LEAST_RANGE
        stretched = (images - black) / torch.where(flat, 1.0, spread)
        return torch.where(flat, images, stretched.clamp(0.0, 1.0))
