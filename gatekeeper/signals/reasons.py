"""What is wrong with an image, in words that a person can act on.

The limits come from photographs without degradation, with a margin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.signals.image import SIGNAL_NAMES
from gatekeeper.signals.noise_types import NoiseType, noise_type_scores
from gatekeeper.types import FloatArray

MOST_SYMPTOMS = 3
"""How many symptoms are named at most."""

_Row = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that is wrong with an image.

    Attributes:
        code: Stable name for programs, such as ``"motion_blur"``.
        text: For people, with the amount: ``"motion blur along 30°, about 9 px"``.
        strength: In (0, 1]; just beyond what good photographs show to as bad as it gets.
    """

    code: str
    text: str
    strength: float


@dataclass(frozen=True, slots=True)
class _Rule:
    code: str
    strength: Callable[[_Row], float]
    text: Callable[[_Row], str]
    photographs_only: bool = False


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to ``low``, 1 from ``high`` on; the other way round where ``high`` is lower."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _impulses(row: _Row) -> float:
    share = row["salt_share"] + row["pepper_share"]
    if _border(row) > 0:
        # The rim of a black border looks like pepper.
        share = row["salt_share"]
    if _drawn(row):
        share = max(0.0, share - 0.08)
    return _ramp(share / (share + 0.02), 0.2, 0.9)


def _drawn(row: _Row) -> bool:
    # Black strokes on white or the like, where thin lines look like impulses and flat ground like
    # blocks and mirrors.
    return row["black_share"] + row["white_share"] > 0.4


def _motion(row: _Row) -> float:
    directed = row["blur_anisotropy"] * row["blur_sigma"]
    return _ramp(directed, 0.45, 2.5) if row["blur_anisotropy"] > 0.55 and _clear(row) else 0.0


def _blur(row: _Row) -> float:
    return _ramp(row["blur_sigma"], 1.1, 5.0) if _clear(row) and not _motion(row) else 0.0


def _angle(row: _Row) -> int:
    """Direction of the blur in degrees, anticlockwise from the horizontal, in steps of 5."""
    angle = math.degrees(math.atan2(row["blur_sine"], row["blur_cosine"])) / 2
    return round(angle / 5) * 5 % 180


def _clear(row: _Row) -> bool:
    # Where tones are few, their steps tell of rounding, not of edges.
    return _range(row) >= 0.28


def _range(row: _Row) -> float:
    return row["high_quantile"] - row["low_quantile"]


def _border(row: _Row) -> float:
    # More than a quarter of every line black is a black background, not what turning leaves.
    share = row["border_black_share"]
    return _ramp(share, 0.01, 0.1) if share < 0.2 and row["border_slant"] < 0.5 else 0.0


_RULES = (
    _Rule(
        "noise",
        lambda row: _ramp(row[NoiseType.GAUSSIAN], 0.55, 0.9),
        lambda row: f"noise, sigma ≈ {row['noise_sigma']:.2f}",
    ),
    _Rule(
        "impulses",
        _impulses,
        lambda row: (
            f"salt-and-pepper noise, about {100 * (row['salt_share'] + row['pepper_share']):.0f} % "
            "of the pixels"
        ),
    ),
    _Rule(
        "periodic_noise",
        lambda row: _ramp(row[NoiseType.PERIODIC], 0.15, 0.9),
        lambda row: f"periodic noise, {100 * row['spectrum_peak_share']:.0f} % of all contrast",
    ),
    _Rule(
        "motion_blur",
        _motion,
        lambda row: f"motion blur along {_angle(row)}°, about {7.5 * row['blur_sigma']:.0f} px",
        photographs_only=True,
    ),
    _Rule("blur", _blur, lambda row: f"blur, sigma about {row['blur_sigma']:.1f} px"),
    _Rule(
        "underexposed",
        lambda row: _ramp(row["high_quantile"], 0.35, 0.1),
        lambda row: f"underexposed, brightest parts at {100 * row['high_quantile']:.0f} %",
    ),
    _Rule(
        "overexposed",
        lambda row: max(_ramp(row["low_quantile"], 0.6, 0.9), _ramp(row["white_share"], 0.3, 0.8)),
        lambda row: f"overexposed, darkest parts at {100 * row['low_quantile']:.0f} %",
    ),
    _Rule(
        "low_contrast",
        lambda row: _ramp(_range(row), 0.13, 0.02) if row["high_quantile"] >= 0.35 else 0.0,
        lambda row: f"low contrast, {100 * _range(row):.0f} % of the full range",
    ),
    _Rule(
        "haze",
        lambda row: _ramp(row["dark_channel"], 0.62, 0.9) if row["white_share"] < 0.3 else 0.0,
        lambda row: f"haze, darkest parts at {100 * row['dark_channel']:.0f} %",
    ),
    _Rule(
        "jpeg",
        lambda row: _ramp(row["jpeg_loss"], 0.15, 0.8),
        lambda row: f"JPEG blocks, quality about {_quality(row)}",
    ),
    _Rule(
        "low_resolution",
        lambda row: _ramp(row["pixel_block"], 0.75, 3.0),
        lambda row: f"low resolution, blocks of about {2 ** row['pixel_block']:.0f} px",
        photographs_only=True,
    ),
    _Rule("black_borders", _border, lambda row: "black borders, as turning or shifting leaves"),
    _Rule(
        "mirrored_border",
        lambda row: _ramp(row["border_mirror"], 0.65, 1.0),
        lambda row: "mirrored border, as shifting leaves",
        photographs_only=True,
    ),
)


def _quality(row: _Row) -> int:
    return max(5, round((90 - 100 * row["jpeg_loss"]) / 5) * 5)


def reasons(signals: FloatArray) -> tuple[Symptom, ...]:
    """What is wrong with one image, strongest first, at most three; empty for a good photograph.

    Args:
        signals: One row of signals, shape (D,), scalars first.

    Raises:
        InputError: it is no single row, or has fewer columns than scalar signals.

    Example:
        >>> import torch
        >>> from gatekeeper.signals import read_signals
        >>> [symptom.code for symptom in reasons(read_signals(torch.zeros(1, 3, 32, 32))[0])]
        ['underexposed']
    """
    values = np.asarray(signals)
    if values.ndim != 1:
        raise InputError(f"expected one row of signals, got shape {values.shape}; pass signals[i]")
    kinds = noise_type_scores(values[None])[0]
    row = dict(zip(SIGNAL_NAMES, values.tolist(), strict=False))
    row |= dict(zip(NoiseType, kinds.tolist(), strict=True))
    rules = [rule for rule in _RULES if not (rule.photographs_only and _drawn(row))]
    graded = [(rule.strength(row), rule) for rule in rules]
    graded.sort(key=lambda pair: -pair[0])
    return tuple(
        Symptom(rule.code, rule.text(row), strength)
        for strength, rule in graded[:MOST_SYMPTOMS]
        if strength > 0
    )
