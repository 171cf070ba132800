"""What can be read off an image without knowing what it shows: one pass, all signals.

Signals describe degradation (noise, blur, exposure, spectrum, borders); they never judge content.
Everything is computed on luminance, the mean of the three channels, except ``chroma``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gatekeeper.errors import InputError
from gatekeeper.filters import median_3x3
from gatekeeper.types import FloatArray

SIGNAL_NAMES: tuple[str, ...] = (
    "mean",
    "contrast",
    "minimum",
    "maximum",
    "low_quantile",
    "high_quantile",
    "black_share",
    "white_share",
    "noise_sigma",
    "noise_sigma_robust",
    "noise_sigma_dark",
    "noise_sigma_bright",
    "isolated_bright_share",
    "isolated_dark_share",
    "median_residual",
    "gradient_across",
    "gradient_down",
    "sharpness",
    "spectrum_band_1",
    "spectrum_band_2",
    "spectrum_band_3",
    "spectrum_band_4",
    "spectrum_peak",
    "spectrum_peak_share",
    "wrap_step_across",
    "wrap_step_down",
    "chroma",
)
"""Names of the signals, in the order of the columns of :func:`image_signals`."""

_MIN_SIDE = 8
_MAX_RANKED_PIXELS = 4096
_TINY = 1e-6


def _spread_sample(values: Tensor) -> Tensor:
    # Ranking needs an order; on large images a subsample of the pixels serves. A step that shares
    # no divisor with the width visits every column, where 512 px by 64 would see eight of them.
    flat = values.flatten(1)
    step = max(1, flat.shape[1] // _MAX_RANKED_PIXELS)
    while math.gcd(step, values.shape[-1]) > 1:
        step += 1
    return flat[:, ::step]


def _tone(luma: Tensor) -> list[Tensor]:
    flat = luma.flatten(1)
    ranked = _spread_sample(luma).sort(dim=1).values
    last = ranked.shape[1] - 1
    return [
        flat.mean(dim=1),
        flat.std(dim=1),
        flat.amin(dim=1),
        flat.amax(dim=1),
        ranked[:, round(0.02 * last)],
        ranked[:, round(0.98 * last)],
        (flat <= 0.5 / 255).float().mean(dim=1),
        (flat >= 254.5 / 255).float().mean(dim=1),
    ]


def _noise(luma: Tensor) -> list[Tensor]:
    mask = luma.new_tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    rough = F.conv2d(luma, mask[None, None]).abs() / 6.0  # unit gain for white noise
    robust = _spread_sample(rough).median(dim=1).values / 0.6745
    inner = luma[:, :, 1:-1, 1:-1]
    dark = (inner < 0.5).float()
    gain = math.sqrt(math.pi / 2.0)

    def mean_where(weight: Tensor) -> Tensor:
        total = (rough * weight).sum(dim=(1, 2, 3))
        return gain * total / weight.sum(dim=(1, 2, 3)).clamp_min(1.0)

    return [gain * rough.mean(dim=(1, 2, 3)), robust, mean_where(dark), mean_where(1.0 - dark)]


def _impulses(luma: Tensor) -> list[Tensor]:
    padded = F.pad(luma, (1, 1, 1, 1), mode="reflect")
    height, width = luma.shape[2:]
    neighbours = [
        padded[:, :, y : y + height, x : x + width]
        for y in range(3)
        for x in range(3)
        if (y, x) != (1, 1)
    ]
    highest, lowest = neighbours[0], neighbours[0]
    for neighbour in neighbours[1:]:
        highest = torch.maximum(highest, neighbour)
        lowest = torch.minimum(lowest, neighbour)
    return [
        (luma > highest + 0.1).float().mean(dim=(1, 2, 3)),
        (luma < lowest - 0.1).float().mean(dim=(1, 2, 3)),
        (luma - median_3x3(luma)).abs().mean(dim=(1, 2, 3)),
    ]


def _edges(luma: Tensor) -> list[Tensor]:
    across = (luma[..., 1:] - luma[..., :-1]).abs().mean(dim=(1, 2, 3))
    down = (luma[..., 1:, :] - luma[..., :-1, :]).abs().mean(dim=(1, 2, 3))
    wide = (luma[..., 2:] - luma[..., :-2]).abs().mean(dim=(1, 2, 3))
    # One-pixel over two-pixel differences: 0.5 on a smooth ramp, towards 1 on noise and edges.
    return [across, down, across / (wide + 1e-3)]


def _spectrum(luma: Tensor) -> list[Tensor]:
    height, width = luma.shape[2:]
    centred = luma[:, 0] - luma.mean(dim=(1, 2, 3))[:, None, None]
    power = torch.fft.rfft2(centred, norm="ortho").abs().square()
    fy = torch.fft.fftfreq(height, device=luma.device)[:, None]
    fx = torch.fft.rfftfreq(width, device=luma.device)[None, :]
    radius = torch.sqrt(fy**2 + fx**2)
    signals = []
    log_power = torch.log(power + _TINY)
    # Below 10 px per side no frequency is as low as 0.1: the lowest band then ends at one cycle.
    lowest = max(0.1, 1.0 / min(height, width))
    for low, high in ((0.0, lowest), (lowest, 0.2), (0.2, 0.35), (0.35, 0.75)):
        band = ((radius > low) & (radius <= high)).float()
        signals.append((log_power * band).sum(dim=(1, 2)) / band.sum())
    inner = ((radius > 0.06) & (radius <= 0.5)).float()
    strongest = (power * inner).flatten(1).amax(dim=1)
    typical = torch.exp((log_power * inner).sum(dim=(1, 2)) / inner.sum())
    peak = torch.log((strongest + _TINY) / (typical + _TINY))
    share = strongest / ((power * inner).sum(dim=(1, 2)) + _TINY)
    return [*signals, peak, share]


def _borders(luma: Tensor) -> list[Tensor]:
    return [
        (luma[..., 0] - luma[..., -1]).abs().mean(dim=(1, 2)),
        (luma[..., 0, :] - luma[..., -1, :]).abs().mean(dim=(1, 2)),
    ]


def image_signals(images: Tensor) -> FloatArray:
    """All signals of a batch of images.

    Args:
        images: Shape (B, 3, H, W), in [0, 1], sides of at least 8 px.

    Returns:
        Shape (B, D), float32, columns as in :data:`SIGNAL_NAMES`. Shares are in [0, 1]; sigmas,
        steps and gradients are shares of full scale; spectrum bands are mean log power.

    Raises:
        InputError: a side is shorter than 8 px.
    """
    if min(images.shape[2:]) < _MIN_SIDE:
        raise InputError(
            f"expected images of at least {_MIN_SIDE} px per side, got "
            f"{images.shape[2]}×{images.shape[3]}; enlarge them first"
        )
    with torch.inference_mode():
        luma = images.mean(dim=1, keepdim=True).contiguous()
        chroma = (images - luma).abs().mean(dim=(1, 2, 3))
        columns = [
            *_tone(luma),
            *_noise(luma),
            *_impulses(luma),
            *_edges(luma),
            *_spectrum(luma),
            *_borders(luma),
            chroma,
        ]
        signals = torch.stack(columns, dim=1).float().cpu().numpy()
    return np.asarray(signals)
