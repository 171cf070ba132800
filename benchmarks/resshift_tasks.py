"""The four things that are to be undone: noise, blur, half the resolution, holes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gatekeeper.corruptions import corruption
from gatekeeper.corruptions.randomness import derived_seeds, uniform
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.resshift import enlarged, random_masks
from gatekeeper.types import IntArray

TASKS = ("denoise", "deblur", "x2", "inpaint")
JUDGED_SEVERITY = 3.0
"""Noise and blur are judged at this severity, and trained at all from 0.5 to 5.5."""

_CORRUPTION = {"denoise": "gaussian_noise", "deblur": "gaussian_blur"}
_DRAW_STREAM, _OWN_STREAM = 9101, 9102


def degraded(
    task: str, images: Tensor, seeds: IntArray, severity: Tensor | float = JUDGED_SEVERITY
) -> tuple[Tensor, Tensor | None]:
    """The images as the restorers are shown them, and which pixels are known.

    Args:
        task: One of :data:`TASKS`.
        images: Clean, shape (B, 3, H, W), in [0, 1], even sides.
        seeds: Shape (B,).
        severity: Of noise and blur, one for all or one per image.

    Returns:
        The same shape, and a mask (B, 1, H, W) for ``"inpaint"``, whose holes are black; None for
        the others. Half the resolution: the mean of 2×2 pixels, enlarged again.
    """
    if task == "x2":
        return enlarged(F.avg_pool2d(images, 2), 2), None
    if task == "inpaint":
        mask = random_masks(seeds, images.shape[2], images.shape[3])
        return images * mask, mask
    return corruption(_CORRUPTION[task]).at_severity(images, severity=severity, seeds=seeds), None


def training_batch(clean: Tensor, seeds: IntArray) -> TrainingBatch:
    """Each image under one of the tasks, drawn like its severity from its own seed.

    Args:
        clean: Shape (B, 3, H, W).
        seeds: Shape (B,).
    """
    drawn = uniform(seeds, 2, stream=_DRAW_STREAM).double()
    kinds = (drawn[:, 0] * len(TASKS)).long().numpy()
    severities, own = 0.5 + 5.0 * drawn[:, 1], derived_seeds(seeds, _OWN_STREAM)
    shown, mask = clean.clone(), torch.ones_like(clean[:, :1])
    for position, task in enumerate(TASKS):
        rows = np.flatnonzero(kinds == position)
        if len(rows):
            images, known = degraded(task, clean[rows], own[rows], severities[rows])
            shown[rows] = images
            if known is not None:
                mask[rows] = known
    return TrainingBatch(clean=clean, degraded=shown, labels=None, seeds=seeds, mask=mask)
