"""Which network restores: any, as long as it gives residuals and can be exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from gatekeeper.errors import InputError
from gatekeeper.protocols import WeightedRestorer
from gatekeeper.restorers.autoencoder import (
    AutoencoderConfig,
    AutoencoderRestorer,
    SkipAutoencoder,
)
from gatekeeper.restorers.autoencoder.network import forward_any_size
from gatekeeper.restorers.unet import ResidualUNet, UNetConfig, UNetRestorer

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorerNetwork:
    """A network that can be adapted to a camera.

    Attributes:
        build: Makes it anew; initial weights come from torch's global generator, which the
            training seeds and puts back.
        residual: (network, images) -> what it adds to the images, (B, 3, H, W), unbounded and
            differentiable.
        export: (trained network, device) -> the restorer; the network is its own copy.
    """

    build: Callable[[], nn.Module]
    residual: Callable[[nn.Module, Tensor], Tensor]
    export: Callable[[nn.Module, str], WeightedRestorer]


def unet_network(config: UNetConfig | None = None) -> RestorerNetwork:
    """The U-Net; see :class:`gatekeeper.restorers.unet.ResidualUNet`."""

    def residual(network: nn.Module, images: Tensor) -> Tensor:
        added: Tensor = network(images)
        return added

    return RestorerNetwork(
        build=lambda: ResidualUNet(config),
        residual=residual,
        export=lambda network, device: UNetRestorer(_as(ResidualUNet, network), device=device),
    )


def autoencoder_network(config: AutoencoderConfig | None = None) -> RestorerNetwork:
    """The skip autoencoder, which gives images: its residual is what they differ by."""
    return RestorerNetwork(
        build=lambda: SkipAutoencoder(config),
        residual=lambda network, images: forward_any_size(network, images) - images,
        export=lambda network, device: AutoencoderRestorer(
            _as(SkipAutoencoder, network), device=device
        ),
    )


def _as(kind: type[N], network: nn.Module) -> N:
    if not isinstance(network, kind):
        raise InputError(
            f"expected a {kind.__name__} to export, got a {type(network).__name__}: "
            "export with the network's own RestorerNetwork"
        )
    return network
