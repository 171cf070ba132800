"""A small residual U-Net as a restorer, and its training towards what a classifier needs."""

from gatekeeper.restorers.unet.network import ResidualUNet, UNetConfig
from gatekeeper.restorers.unet.restorer import UNetRestorer
from gatekeeper.restorers.unet.training import UNetOptions, UNetTraining

__all__ = ["ResidualUNet", "UNetConfig", "UNetOptions", "UNetRestorer", "UNetTraining"]
