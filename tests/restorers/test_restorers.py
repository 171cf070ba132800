"""The mapping of restorers: names, and which are rebuilt from weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.errors import BundleError
from gatekeeper.protocols import Restorer, WeightedRestorer
from gatekeeper.restorers import RESTORERS, WEIGHTED, UNetRestorer, rebuilt_restorer
from gatekeeper.restorers.unet import ResidualUNet, UNetConfig


@pytest.mark.parametrize("name", sorted(RESTORERS))
def test_a_restorer_is_known_by_its_own_name(name: str) -> None:
    assert RESTORERS[name].name == name


@pytest.mark.parametrize("name", sorted(set(RESTORERS) - WEIGHTED))
def test_those_without_weights_are_built_of_nothing(name: str) -> None:
    restorer = RESTORERS[name]()
    assert isinstance(restorer, Restorer)
    assert not isinstance(restorer, WeightedRestorer)


def test_those_with_weights() -> None:
    assert {"autoencoder", "resshift", "unet"} == WEIGHTED


def test_a_restorer_is_rebuilt_from_what_it_says_of_itself() -> None:
    network = ResidualUNet(UNetConfig((4, 8)))
    torch.nn.init.normal_(list(network.parameters())[-1])
    restorer = UNetRestorer(network, device="cpu")
    again = rebuilt_restorer("unet", restorer.state(), restorer.config(), device="cpu")
    assert again.digest == restorer.digest
    images = torch.rand(2, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    seeds = np.arange(2)
    assert torch.equal(again.restore(images, seeds=seeds), restorer.restore(images, seeds=seeds))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("unett", r"autoencoder, resshift, unet, got 'unett'; did you mean unet\?"),
        ("median", "got 'median'"),
        ("unet", "U-Net"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused(method: str, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        rebuilt_restorer(method, {}, {"widths": [4, 4]})
