"""What can be read off an image, whatever it shows.

A row of signals is the scalars of ``SIGNAL_NAMES`` followed by the log-spectrum grid.
"""

from __future__ import annotations

from torch import Tensor

from gatekeeper.signals.image import SIGNAL_NAMES, image_signals, signals_and_spectrum
from gatekeeper.signals.spectrum import SPECTRUM_SHAPE, log_spectrum
from gatekeeper.types import FloatArray

__all__ = [
    "N_SCALARS",
    "SIGNALS_VERSION",
    "SIGNAL_NAMES",
    "SPECTRUM_SHAPE",
    "image_signals",
    "log_spectrum",
    "read_signals",
]

N_SCALARS = len(SIGNAL_NAMES)
"""Number of scalar signals; the columns from here on are the spectrum grid."""

SIGNALS_VERSION = 3
"""Changes whenever a signal's definition does; part of every cached cell's key."""


def read_signals(images: Tensor) -> FloatArray:
    """All signals of a batch: scalars, then the log-spectrum grid.

    Args:
        images: Shape (B, 3, H, W), in [0, 1].

    Returns:
        Shape (B, D), float32, D = ``N_SCALARS`` + rows · columns of ``SPECTRUM_SHAPE``.

    Raises:
        InputError: a side is shorter than 8 px.
    """
    return signals_and_spectrum(images)
