"""The classifiers of ``denoise_then_classify``: one plain, two with skips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from gatekeeper.classifiers import untrained_network

VGG_LIKE = "vgg_like"


def vgg_like(n_classes: int, *, widths: Sequence[int] = (32, 64, 128)) -> nn.Sequential:
    """Pairs of 3x3 convolutions with batch normalisation and ReLU, halved by maxima; no skips.

    Args:
        n_classes: Number of classes K.
        widths: Channels of each pair; every pair but the last is followed by a 2x2 maximum.

    Returns:
        (B, 3, H, W) of any size of at least ``2 ** (len(widths) - 1)`` px -> logits (B, K).

    Source:
        Simonyan, Zisserman 2014 (arXiv:1409.1556). Deviates in batch normalisation, a mean over
        positions in place of large dense layers, and far fewer layers and channels.
    """
    layers: list[nn.Module] = []
    n_in = 3
    for position, width in enumerate(widths):
        if position:
            layers.append(nn.MaxPool2d(2))
        for _ in range(2):
            layers += [
                nn.Conv2d(n_in, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            n_in = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, n_classes))


def _plain(n_classes: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return vgg_like(n_classes)


NETWORKS: Mapping[str, Callable[[int, int], nn.Module]] = {
    VGG_LIKE: _plain,
    "small_resnet": lambda n_classes, seed: untrained_network(
        "gatekeeper_small_resnet",
        n_classes,
        {"widths": [32, 64, 128, 128], "layers": [1, 1, 1, 1]},
        seed=seed,
    ),
    # At the stride that it was made for, nothing would be left of small images.
    "mobilenetv2": lambda n_classes, seed: untrained_network(
        "mobilenetv2_050", n_classes, {"output_stride": 8}, seed=seed
    ),
}
"""Name -> (number of classes, seed of the initial weights) -> network."""
