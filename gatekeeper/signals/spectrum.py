"""The log-magnitude spectrum on a fixed grid: what the noise-type router reads."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gatekeeper.types import FloatArray

SPECTRUM_SHAPE = (14, 8)
"""Rows (vertical frequency, 0 in the middle) and columns (horizontal, 0 on the left)."""


def log_spectrum(images: Tensor) -> FloatArray:
    """Centred log-magnitude spectrum of luminance, the strongest bin of each grid cell.

    Args:
        images: Shape (B, 3, H, W), in [0, 1].

    Returns:
        Shape (B, 14 · 8), float32, row by row: log(|FFT| + 1e-3) with an orthonormal FFT, so that
        white noise of sigma s has magnitude about s at any size. The redundant half is left out.

    Source:
        CNN autoencoder denoising before classification (arXiv:2404.10664), whose noise-type
        classifier reads 20·log|FFT| of 224 px. Deviates in natural logarithm with a floor, the
        half spectrum, and a coarse grid that keeps peaks (maximum, not mean).
    """
    with torch.inference_mode():
        magnitude = torch.fft.rfft2(images.mean(dim=1), norm="ortho").abs()
        spectrum = torch.fft.fftshift(torch.log(magnitude + 1e-3), dim=1)
        grid = F.adaptive_max_pool2d(spectrum[:, None], SPECTRUM_SHAPE)
        return np.asarray(grid.flatten(1).float().cpu().numpy())
