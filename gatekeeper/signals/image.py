"""What can be read off an image without knowing what it shows: one pass, all signals.

Signals describe degradation (noise, blur, exposure, spectrum, grids, borders); they never judge
content. Each moves smoothly with the strength of what it measures and is bounded or logarithmic, so
that an unknown corruption cannot send one to a million.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.signals.borders import BORDER_NAMES, border_signals
from gatekeeper.signals.edges import EDGE_NAMES, edge_signals
from gatekeeper.signals.grids import GRID_NAMES, grid_signals
from gatekeeper.signals.noise import NOISE_NAMES, noise_signals
from gatekeeper.signals.planes import Planes
from gatekeeper.signals.spectrum import (
    SPECTRUM_NAMES,
    SPECTRUM_SHAPE,
    log_power,
    spectrum_grid,
    spectrum_signals,
)
from gatekeeper.signals.tone import TONE_NAMES, tone_signals
from gatekeeper.types import FloatArray

SIGNAL_NAMES: tuple[str, ...] = (
    *TONE_NAMES,
    *NOISE_NAMES,
    *EDGE_NAMES,
    *GRID_NAMES,
    *SPECTRUM_NAMES,
    *BORDER_NAMES,
)
"""Names of the signals, in the order of the columns of :func:`image_signals`."""

_MIN_SIDE = 8
# Work goes on in pieces: large enough that calls cost little, small enough to stay in memory.
_PIXELS_AT_ONCE = 2**21


def image_signals(images: Tensor) -> FloatArray:
    """All scalar signals of a batch of images.

    Args:
        images: Shape (B, 3, H, W), in [0, 1], sides of at least 8 px.

    Returns:
        Shape (B, D), float32, columns as in :data:`SIGNAL_NAMES`.

    Raises:
        InputError: a side is shorter than 8 px.
    """
    return signals_and_spectrum(images)[:, : len(SIGNAL_NAMES)]


def signals_and_spectrum(images: Tensor) -> FloatArray:
    """All scalar signals, then the log-spectrum grid, from one pass over the images.

    Args:
        images: Shape (B, 3, H, W), in [0, 1], sides of at least 8 px.

    Returns:
        Shape (B, D + 14 · 8), float32.

    Raises:
        InputError: a side is shorter than 8 px.
    """
    height, width = images.shape[2:]
    if min(height, width) < _MIN_SIDE:
        raise InputError(
            f"expected images of at least {_MIN_SIDE} px per side, got "
            f"{height}×{width}; enlarge them first"
        )
    piece = max(1, _PIXELS_AT_ONCE // (height * width))
    found = np.empty((len(images), len(SIGNAL_NAMES) + math.prod(SPECTRUM_SHAPE)), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(images), piece):
            _read(images[start : start + piece], out=found[start : start + piece])
    return found


def _read(images: Tensor, *, out: FloatArray) -> None:
    planes = Planes.of(images)
    logarithm = log_power(planes.luma)
    noise = noise_signals(planes)
    scalars = [
        *tone_signals(planes),
        *noise,
        *edge_signals(planes, noise[NOISE_NAMES.index("noise_luma")]),
        *grid_signals(planes),
        *spectrum_signals(logarithm, images.shape[3]),
        *border_signals(planes),
    ]
    out[:, : len(scalars)] = np.stack(scalars, axis=1)
    out[:, len(scalars) :] = spectrum_grid(logarithm)
