"""System 3: the skip autoencoder, its training and its use as a restorer."""

from gatekeeper.restorers.autoencoder.network import (
    PUBLISHED_LARGE,
    PUBLISHED_SMALL,
    AutoencoderConfig,
    SkipAutoencoder,
)
from gatekeeper.restorers.autoencoder.restorer import AutoencoderRestorer
from gatekeeper.restorers.autoencoder.training import (
    AutoencoderOptions,
    AutoencoderTraining,
    train_autoencoder,
)

__all__ = [
    "PUBLISHED_LARGE",
    "PUBLISHED_SMALL",
    "AutoencoderConfig",
    "AutoencoderOptions",
    "AutoencoderRestorer",
    "AutoencoderTraining",
    "SkipAutoencoder",
    "train_autoencoder",
]
