"""The spectrum of luminance: on a fixed grid, which the noise-type router reads, and in figures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from gatekeeper.signals.planes import Planes, row_sums
from gatekeeper.types import FloatArray, IntArray

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


def log_power(luma: FloatArray) -> FloatArray:
    """Logarithm of the half-plane power spectrum, shape (B, H, W // 2 + 1).

    Args:
        luma: Shape (B, H, W), in [0, 1]. The transform is orthonormal, so that white noise of sigma
            s has power s² at any size; 1e-6 is added to it.
    """
    n_images, height, width = luma.shape
    found = np.empty((n_images, height, width // 2 + 1), dtype=np.float32)
    piece = max(1, _PIXELS_AT_ONCE // (height * width))
    for start in range(0, n_images, piece):
        power = found[start : start + piece]
        given = torch.from_numpy(luma[start : start + piece])
        transform = torch.fft.rfft2(given, norm="ortho").numpy()
        np.square(transform.real, out=power)
        power += np.square(transform.imag)
        power += _FLOOR
        torch.from_numpy(power).log_()
    return found


def spectrum_grid(logarithm: FloatArray) -> FloatArray:
    """Half the log power of the strongest bin of each cell, shape (B, 14 · 8)."""
    n_images, height, width = logarithm.shape
    n_rows, n_columns = SPECTRUM_SHAPE
    rows, columns = _cells(height, n_rows), _cells(width, n_columns)
    # Frequency 0 comes first in the transform and lies in the middle of the grid.
    rows = (rows - height // 2) % height
    lines = logarithm.take(rows.ravel(), axis=1).reshape(n_images, *rows.shape, width)
    strongest = np.maximum.reduce(lines, axis=2).take(columns.ravel(), axis=2)
    cells = np.maximum.reduce(strongest.reshape(n_images, n_rows, *columns.shape), axis=3)
    return np.asarray(cells.reshape(n_images, -1) * 0.5)


@lru_cache(maxsize=32)
def _cells(length: int, n_cells: int) -> IntArray:
    """Places in each of the cells that cover so many places, shape (cells, longest).

    A cell ends in the place in which the next one begins where the two do not come out even; a
    shorter cell names its last place several times.
    """
    k = np.arange(n_cells)
    start, end = k * length // n_cells, -((k + 1) * -length // n_cells)
    longest = int((end - start).max())
    return np.asarray(np.minimum(start[:, None] + np.arange(longest), end[:, None] - 1))


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
        return spectrum_grid(log_power(Planes.of(images).luma))


@dataclass(frozen=True, slots=True)
class _Rings:
    # Rings of equal frequencies one behind another, the axes and the mean left out.
    order: IntArray  # places of the bins in the flattened half plane
    starts: IntArray  # of each ring in that order
    n_bins: FloatArray  # of each ring
    bands: tuple[tuple[int, int, int], ...]  # first ring, last ring + 1, bins


@lru_cache(maxsize=16)
def _rings(height: int, width: int) -> _Rings:
    """The rings of images of a size."""
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
    bands = []
    for low, high in _BANDS:
        inside = [k for k, (*_, f) in enumerate(spans) if low < f <= high] or [0]
        n_bins = spans[inside[-1]][1] - spans[inside[0]][0]
        bands.append((inside[0], inside[-1] + 1, n_bins))
    return _Rings(
        order=order[: ends[-1]].copy(),
        starts=np.array([start for start, *_ in spans]),
        n_bins=np.array([end - start for start, end, _ in spans], dtype=np.float32),
        bands=tuple(bands),
    )


def spectrum_signals(logarithm: FloatArray, width: int) -> list[FloatArray]:
    """One array of shape (B,) per name of :data:`SPECTRUM_NAMES`.

    Args:
        logarithm: What :func:`log_power` gives.
        width: Of the images, px.
    """
    rings = _rings(logarithm.shape[1], width)
    ordered = logarithm.reshape(len(logarithm), -1).take(rings.order, axis=1)
    totals = np.add.reduceat(ordered, rings.starts, axis=1)
    tops = np.maximum.reduceat(ordered, rings.starts, axis=1)
    strongest = np.maximum.reduce(tops, axis=1)
    ordered -= strongest[:, None]
    share = 1.0 / row_sums(torch.from_numpy(ordered).exp_().numpy())
    return [
        *(np.add.reduce(totals[:, a:b], axis=1) / n_bins for a, b, n_bins in rings.bands),
        np.maximum.reduce(tops - totals / rings.n_bins, axis=1),
        share,
    ]
