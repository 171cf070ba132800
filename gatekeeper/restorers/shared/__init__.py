"""What several methods share: losses, the optimiser, and work in halves where memory is short."""

from gatekeeper.restorers.shared.halving import in_halves
from gatekeeper.restorers.shared.losses import (
    PIXEL_LOSSES,
    Features,
    PixelLoss,
    Recognise,
    feature_distance,
    pixel_loss,
    recognition_loss,
)
from gatekeeper.restorers.shared.optimising import Optimiser, check_schedule, one_cycle

__all__ = [
    "PIXEL_LOSSES",
    "Features",
    "Optimiser",
    "PixelLoss",
    "Recognise",
    "check_schedule",
    "feature_distance",
    "in_halves",
    "one_cycle",
    "pixel_loss",
    "recognition_loss",
]
