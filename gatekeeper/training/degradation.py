"""How the images of a restorer's training are degraded: drawn per image, from its own seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gatekeeper.corruptions import corruption
from gatekeeper.corruptions.randomness import derived_seeds, uniform
from gatekeeper.training.restorer_recipe import CorruptionDraw
from gatekeeper.types import IntArray

_DRAW_STREAM, _OWN_STREAM = 9011, 9012


class Degradation:
    """One of several corruptions per image, at a strength of its own.

    Args:
        draws: The corruptions and their ranges, at least one.
        clean_share: Share of images that stay as they are, in [0, 1].
    """

    def __init__(self, draws: Sequence[CorruptionDraw], *, clean_share: float = 0.0) -> None:
        self.draws, self.clean_share = tuple(draws), clean_share

    @property
    def families(self) -> tuple[str, ...]:
        """All fine families of the corruptions, sorted."""
        return tuple(sorted({f for draw in self.draws for f in corruption(draw.name).families}))

    def __call__(self, images: Tensor, seeds: IntArray) -> Tensor:
        """Degrade images.

        Args:
            images: Shape (B, 3, H, W), in [0, 1]; left untouched.
            seeds: One per image, shape (B,).

        Returns:
            The same shape and range; a row depends on its own image and seed only.
        """
        found = uniform(seeds, 3, stream=_DRAW_STREAM).double().numpy()
        kinds = (found[:, 0] * len(self.draws)).astype(np.int64)
        kinds[found[:, 1] < self.clean_share] = -1
        own = derived_seeds(seeds, _OWN_STREAM)
        degraded = images.clone()
        for position, draw in enumerate(self.draws):
            rows = np.flatnonzero(kinds == position)
            if len(rows):
                low, high = draw.strength
                strength = torch.from_numpy(low + (high - low) * found[rows, 2])
                chosen = corruption(draw.name)
                degraded[rows] = (
                    chosen.at_severity(images[rows], severity=strength, seeds=own[rows])
                    if draw.level is None
                    else chosen.at(images[rows], level=strength, seeds=own[rows])
                )
        return degraded
