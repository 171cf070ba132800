"""System 1: a short diffusion chain between a degraded and a clean image (ResShift)."""

from gatekeeper.restorers.resshift.autoencoder import PAPER_VQ, VQAutoencoder, VQConfig
from gatekeeper.restorers.resshift.chain import PARAMETRISATIONS, Chain, Parametrisation
from gatekeeper.restorers.resshift.config import ResShiftConfig
from gatekeeper.restorers.resshift.masks import dead_areas, random_masks
from gatekeeper.restorers.resshift.restorer import ResShiftNetworks, ResShiftRestorer, enlarged
from gatekeeper.restorers.resshift.sampler import sample
from gatekeeper.restorers.resshift.schedule import Schedule
from gatekeeper.restorers.resshift.training import ResShiftOptions, ResShiftTraining
from gatekeeper.restorers.resshift.unet import PAPER_UNET, SwinUNet, SwinUNetConfig

__all__ = [
    "PAPER_UNET",
    "PAPER_VQ",
    "PARAMETRISATIONS",
    "Chain",
    "Parametrisation",
    "ResShiftConfig",
    "ResShiftNetworks",
    "ResShiftOptions",
    "ResShiftRestorer",
    "ResShiftTraining",
    "Schedule",
    "SwinUNet",
    "SwinUNetConfig",
    "VQAutoencoder",
    "VQConfig",
    "dead_areas",
    "enlarged",
    "random_masks",
    "sample",
]
