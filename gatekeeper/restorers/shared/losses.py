"""What a restored image is judged by in training: its pixels, and what a classifier makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

PixelLoss = Literal["charbonnier", "l1", "mse"]
PIXEL_LOSSES: tuple[PixelLoss, ...] = ("charbonnier", "l1", "mse")

Recognise = Callable[[Tensor], Tensor]
"""(images) -> logits (B, K) of the frozen classifier, differentiable in the images."""

Features = Callable[[Tensor], Tensor]
"""(images) -> features (B, F) of the frozen classifier, differentiable in the images."""

_CHARBONNIER = 1e-6
_NOTHING = 1e-12


def pixel_loss(restored: Tensor, clean: Tensor, kind: PixelLoss) -> Tensor:
    """Mean over images, channels and pixels; a scalar, 0 is perfect up to 1e-3 for Charbonnier.

    Args:
        restored: Shape (B, 3, H, W), unbounded.
        clean: Shape (B, 3, H, W).
        kind: ``"charbonnier"``: sqrt(d² + 1e-6), ``"l1"``: |d|, ``"mse"``: d².
    """
    difference = restored - clean
    if kind == "charbonnier":
        return torch.sqrt(difference * difference + _CHARBONNIER).mean()
    return difference.abs().mean() if kind == "l1" else (difference * difference).mean()


def recognition_loss(restored: Tensor, labels: Tensor, recognise: Recognise) -> Tensor:
    """Cross-entropy of the frozen classifier on what it will be shown: the image cut to [0, 1].

    Args:
        restored: Shape (B, 3, H, W), unbounded; its gradient is 0 where it is cut.
        labels: True classes, shape (B,).
        recognise: The frozen classifier.

    Source:
        URIE (arXiv:2007.08979).
    """
    return F.cross_entropy(recognise(restored.clamp(0.0, 1.0)), labels)


def feature_distance(restored: Tensor, clean: Tensor, features: Features) -> Tensor:
    """Squared distance of the classifier's features to those of the clean image; a scalar.

    Relative to the squared length of the clean image's features, and averaged over images: 0 is
    the same features, 1 is as far away as no features at all.

    Args:
        restored: Shape (B, 3, H, W), unbounded; cut to [0, 1] first.
        clean: Shape (B, 3, H, W).
        features: The frozen classifier's; no gradient flows through those of the clean image.

    Source:
        After FG-NIC (IEEE SPL 2021). Deviates in being relative.
    """
    with torch.no_grad():
        wanted = features(clean)
    found = features(restored.clamp(0.0, 1.0))
    length = wanted.square().sum(dim=1).clamp(min=_NOTHING)
    return ((found - wanted).square().sum(dim=1) / length).mean()
