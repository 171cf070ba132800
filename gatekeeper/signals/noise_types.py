"""Which kind of noise a row of signals speaks of."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.signals.image import SIGNAL_NAMES
from gatekeeper.types import FloatArray

_COLUMN = {name: column for column, name in enumerate(SIGNAL_NAMES)}
_HALF_SIGMA = 0.04
_HALF_IMPULSE_SHARE = 0.02


class NoiseType(StrEnum):
    """Kinds of noise that call for different cures."""

    GAUSSIAN = "gaussian"
    IMPULSE = "impulse"
    PERIODIC = "periodic"
    CORRELATED = "correlated"


# From what score on a kind is named: above what photographs without noise of 224 px reach.
_NAMED_FROM = {
    NoiseType.GAUSSIAN: 0.55,
    NoiseType.IMPULSE: 0.2,
    NoiseType.PERIODIC: 0.15,
    NoiseType.CORRELATED: 0.35,
}


def noise_type_scores(signals: FloatArray) -> FloatArray:
    """How strongly each kind of noise shows, shape (B, 4), each in [0, 1].

    Fine texture is hard to tell from noise, most of all correlated noise in small images.

    Args:
        signals: Rows of signals, shape (B, D), scalars first.

    Returns:
        Columns in the order of :class:`NoiseType`; 0 is none, 0.5 is a white sigma of 0.04, 2 % of
        the pixels replaced, or correlated noise whose gradients have a sigma of 0.04.

    Raises:
        InputError: there are fewer columns than scalar signals.
    """
    rows = np.asarray(signals)
    if rows.ndim != 2 or rows.shape[1] < len(SIGNAL_NAMES):
        raise InputError(
            f"expected rows of at least {len(SIGNAL_NAMES)} signals, got shape {rows.shape}; "
            "pass what read_signals gives"
        )

    def column(name: str) -> FloatArray:
        return np.asarray(rows[:, _COLUMN[name]], dtype=np.float64)

    sigma, correlation = column("noise_sigma"), column("noise_correlation")
    edge_sigma = column("noise_luma") * np.exp(correlation)
    white = np.exp(-2.0 * np.maximum(correlation - 0.25, 0.0))
    impulses = column("salt_share") + column("pepper_share")
    peak, share = column("spectrum_peak"), column("spectrum_peak_share")
    # A slow wave must carry much of the power to differ from content; a fast one only stand out.
    slow = np.clip((peak - 6.0) / 4.0, 0.0, 1.0) * np.clip((share - 0.1) / 0.3, 0.0, 1.0)
    fast = np.clip((peak - 10.0) / 4.0, 0.0, 1.0)
    scores = [
        white * sigma / (sigma + _HALF_SIGMA),
        impulses / (impulses + _HALF_IMPULSE_SHARE),
        np.maximum(slow, fast),
        (1.0 - white) * edge_sigma / (edge_sigma + _HALF_SIGMA),
    ]
    return np.stack(scores, axis=1)


def noise_types(signals: FloatArray) -> tuple[NoiseType | None, ...]:
    """The kind of noise that stands out most in each row, None where none does.

    Args:
        signals: Rows of signals, shape (B, D), scalars first.

    Raises:
        InputError: there are fewer columns than scalar signals.
    """
    kinds = list(NoiseType)
    limits = np.asarray([_NAMED_FROM[kind] for kind in kinds])
    relative = noise_type_scores(signals) / limits
    return tuple(kinds[k] if row[k] >= 1.0 else None for row in relative for k in [row.argmax()])
