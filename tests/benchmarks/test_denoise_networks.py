"""The three small classifiers: one plain, all fit for small images."""

from __future__ import annotations

import pytest
import torch

from benchmarks.denoise_networks import NETWORKS, vgg_like


def test_the_plain_network_is_plain() -> None:
    network = vgg_like(10, widths=(4, 6))
    kinds = [type(layer).__name__ for layer in network]
    pair = ["Conv2d", "BatchNorm2d", "ReLU"] * 2
    assert kinds == [*pair, "MaxPool2d", *pair, "AdaptiveAvgPool2d", "Flatten", "Linear"]
    convolutions = 9 * (3 * 4 + 4 * 4 + 4 * 6 + 6 * 6)
    expected = convolutions + 2 * (4 + 4 + 6 + 6) + 6 * 10 + 10
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("size", [16, 28, 32])
def test_every_network_takes_small_images_and_is_the_same_for_a_seed(name: str, size: int) -> None:
    network = NETWORKS[name](10, 5).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, size, size)).shape == (1, 10)
    again = NETWORKS[name](10, 5).state_dict()
    assert all(torch.equal(t, again[key]) for key, t in network.state_dict().items())
