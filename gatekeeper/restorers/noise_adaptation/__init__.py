"""System 2: a restorer adapted to a camera's own noise, without clean images of that camera."""

from gatekeeper.restorers.noise_adaptation.denoiser import Denoiser, DenoiserConfig
from gatekeeper.restorers.noise_adaptation.draws import synthetic_noise
from gatekeeper.restorers.noise_adaptation.networks import (
    RestorerNetwork,
    autoencoder_network,
    unet_network,
)
from gatekeeper.restorers.noise_adaptation.training import (
    NoiseAdaptationOptions,
    NoiseAdaptationTraining,
)

__all__ = [
    "Denoiser",
    "DenoiserConfig",
    "NoiseAdaptationOptions",
    "NoiseAdaptationTraining",
    "RestorerNetwork",
    "autoencoder_network",
    "synthetic_noise",
    "unet_network",
]
