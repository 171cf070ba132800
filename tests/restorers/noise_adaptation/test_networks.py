"""The restoring networks that come along: what a residual is, and what is exported."""

from __future__ import annotations

import pytest
import torch

from gatekeeper.errors import InputError
from gatekeeper.restorers.autoencoder import AutoencoderConfig
from gatekeeper.restorers.noise_adaptation import (
    RestorerNetwork,
    autoencoder_network,
    unet_network,
)
from gatekeeper.restorers.unet import UNetConfig

UNET = unet_network(UNetConfig((4, 6)))
AUTOENCODER = autoencoder_network(AutoencoderConfig((4, 4, 4, 4, 4, 4), (4, 4, 4)))


@pytest.mark.parametrize(("kind", "name"), [(UNET, "unet"), (AUTOENCODER, "autoencoder")])
def test_the_residual_is_what_the_exported_restorer_adds(kind: RestorerNetwork, name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = kind.build().eval()
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.02)
    images = 0.3 + 0.4 * torch.rand(2, 3, 16, 18, generator=torch.Generator().manual_seed(2))
    residual = kind.residual(network, images)
    assert residual.requires_grad
    assert residual.abs().max() > 1e-3
    restorer = kind.export(network, "cpu")
    assert restorer.name == name
    expected = (images + residual).clamp(0, 1)
    restored = restorer.restore(images, seeds=torch.arange(2).numpy())
    torch.testing.assert_close(restored, expected.detach(), rtol=0, atol=1e-5)


def test_a_foreign_network_is_not_exported() -> None:
    with pytest.raises(InputError, match="expected a ResidualUNet to export, got a SkipAuto"):
        UNET.export(AUTOENCODER.build(), "cpu")
