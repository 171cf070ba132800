"""The spectrum of luminance: on a fixed grid, which the noise-type router reads, and in figures."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gatekeeper.signals.planes import Planes
from gatekeeper.types import FloatArray

SPECTRUM_SHAPE = (14, 8)
"""Rows (vertical frequency, 0 in the middle) and columns (horizontal, 0 on the left)."""

SPECTRUM_NAMES = (
    "spectrum_band_1",
    "spectrum_band_2",
    "spectrum_band_3",
    "spectrum_band_4",
    "spectrum_peak",
    "spectrum_peak_share",
)
"""Spectrum of luminance; natural logarithms of power, floored at log 1e-6.

``spectrum_band_1`` … ``spectrum_band_4`` are mean log power up to 0.1, 0.2, 0.35 and 0.75 cycles
per px: white noise lifts the last, blur lowers it. ``spectrum_peak`` is the strongest bin over the
mean of its ring of equal frequencies, about 2 to 6 for photographs, 10 and more for a regular
pattern; ``spectrum_peak_share`` the share of the strongest bin in the power of the half plane,
mean left out, in [0, 1].
"""

_FLOOR = 1e-6
_PIXELS_AT_ONCE = 2**18
# Upper ends of the rings, cycles per px, and how many of them make up each band.
_RINGS = (0.012, 0.018, 0.027, 0.04, 0.06, 0.1, 0.15, 0.2, 0.275, 0.35, 0.5, 0.75)
_BANDS = ((0.0, 0.1), (0.1, 0.2), (0.2, 0.35), (0.35, 0.75))


def log_power(luma: Tensor) -> Tensor:
    """Logarithm of the half-plane power spectrum, shape (B, H, W // 2 + 1).

    Args:
        luma: Shape (B, H, W), in [0, 1]. The transform is orthonormal, so that white noise of sigma
            s has power s² at any size; 1e-6 is added to it.
    """
    piece = max(1, _PIXELS_AT_ONCE // (luma.shape[1] * luma.shape[2]))
    return torch.cat([_log_power(part) for part in torch.split(luma, piece)])


def _log_power(luma: Tensor) -> Tensor:
    transform = torch.fft.rfft2(luma, norm="ortho")
    power = transform.real.square()
    power += transform.imag.square()
    power += _FLOOR
    return torch.log_(power)


def spectrum_grid(logarithm: Tensor) -> Tensor:
    """Half the log power of the strongest bin of each cell, shape (B, 14 · 8)."""
    shifted = torch.fft.fftshift(logarithm, dim=1)
    return F.adaptive_max_pool2d(shifted[:, None], SPECTRUM_SHAPE).flatten(1) * 0.5


def log_spectrum(images: Tensor) -> FloatArray:
    """Centred log-magnitude spectrum of luminance, the strongest bin of each grid cell.

    Args:
        images: Shape (B, 3, H, W), in [0, 1].

    Returns:
        Shape (B, 14 · 8), float32, row by row: ½ log(|FFT|² + 1e-6), FFT orthonormal, so that
        white noise of sigma s has magnitude about s at any size. The redundant half is left out.

    Source:
        CNN autoencoder denoising before classification (arXiv:2404.10664), whose noise-type
        classifier reads 20·log|FFT| of 224 px. Deviates in natural logarithm with a floor, the
        half spectrum, and a coarse grid that keeps peaks (maximum, not mean).
    """
    with torch.inference_mode():
        luma = Planes.of(images).luma
        return np.asarray(spectrum_grid(log_power(luma)).float().cpu().numpy())


@lru_cache(maxsize=16)
def _rings(height: int, width: int) -> tuple[Tensor, tuple[tuple[int, int, float], ...]]:
    """Order of the bins by ring, off the axes; start, end and upper frequency of each ring."""
    fy = np.fft.fftfreq(height)[:, None]
    fx = np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(fy, fx)
    ring = np.searchsorted(_RINGS, radius, side="left")
    ring[radius < 1.2 / min(height, width)] = len(_RINGS)
    order = np.argsort(ring, axis=None, kind="stable")
    ends = np.searchsorted(ring.flatten()[order], np.arange(len(_RINGS) + 1))
    spans = [
        (int(start), int(end), _RINGS[k])
        for k, (start, end) in enumerate(pairwise(ends))
        if end > start
    ]
    return torch.from_numpy(order[: ends[-1]].copy()), tuple(spans)


def spectrum_signals(logarithm: Tensor, width: int) -> list[Tensor]:
    """One tensor of shape (B,) per name of :data:`SPECTRUM_NAMES`.

    Args:
        logarithm: What :func:`log_power` gives.
        width: Of the images, px.
    """
    order, spans = _rings(logarithm.shape[1], width)
    ordered = logarithm.flatten(1).index_select(1, order.to(logarithm.device))
    rings = [ordered[:, start:end] for start, end, _ in spans]
    means = [ring.mean(dim=1) for ring in rings]
    bands = []
    for low, high in _BANDS:
        inside = [k for k, (*_, f) in enumerate(spans) if low < f <= high] or [0]
        n_bins = [rings[k].shape[1] for k in inside]
        total = torch.stack([means[k] * n for k, n in zip(inside, n_bins, strict=True)], dim=1)
        bands.append(total.sum(dim=1) / sum(n_bins))
    peaks = [ring.amax(dim=1) - mean for ring, mean in zip(rings, means, strict=True)]
    peak = torch.stack(peaks, dim=1).amax(dim=1)
    strongest = ordered.amax(dim=1)
    share = 1.0 / (ordered - strongest[:, None]).exp_().sum(dim=1)
    return [*bands, peak, share]
