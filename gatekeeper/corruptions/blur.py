"""Blur: loss of sharpness by the lens or by motion."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from gatekeeper.corruptions.base import (
    RowCorruption,
    Rows,
    RowTable,
    TabulatedCorruption,
    is_large,
    spread,
)
from gatekeeper.corruptions.filtering import gaussian_blur, motion_blur, padded
from gatekeeper.corruptions.randomness import uniform
from gatekeeper.corruptions.warping import looked_up, zoomed_places
from gatekeeper.types import IntArray

_SOURCE = "Hendrycks, Dietterich 2019 (arXiv:1903.12261)"


class GaussianBlur(TabulatedCorruption):
    """Convolution with a Gaussian kernel, borders mirrored; level is its standard deviation.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261) for the table of large images. Deviates in
        its own table for small images and in mirrored borders.
    """

    name = "gaussian_blur"
    families = ("gaussian_blur",)
    levels = (0.6, 0.9, 1.2, 1.6, 2.0)
    large_levels = (1.0, 2.0, 3.0, 4.0, 6.0)
    in_pixels = True
    unit = "standard deviation, pixels"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Blur along both axes; the kernel is cut at four standard deviations."""
        del seeds  # deterministic
        return gaussian_blur(images, level.flatten(), border="mirror")


class _BlendedBlur(RowTable):
    """A linear filter: between two severities the results of both are mixed.

    Below 1 the first severity is mixed with the image itself, above 5 the fifth with a sixth
    whose parameters continue the table.
    """

    def table_with_ends(self, height: int, width: int) -> list[tuple[float, ...] | None]:
        """Rows of severities 0…6; None is the image itself."""
        rows = self.rows_for(height, width)
        sixth = tuple(2 * last - before for last, before in zip(rows[4], rows[3], strict=True))
        return [None, *rows, sixth]


def _neighbours(severity: Tensor) -> tuple[Tensor, Tensor]:
    below = severity.floor().clamp(0, 5).long()
    return below, severity - below


class DefocusBlur(_BlendedBlur):
    """Convolution with a disk, as a lens out of focus; its edge is smoothed by a small Gaussian.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261). Deviates: from 64 px on a pixel weighs by
        the share of it that the disk covers, so that scaled radii differ; borders mirrored.
    """

    name = "defocus_blur"
    families = ("defocus_blur",)
    parameters = ("radius_px", "edge_sigma_px")
    lengths = frozenset({"radius_px", "edge_sigma_px"})
    small_rows: Rows = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
    large_rows: Rows = ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5))
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Blend the kernels of the two neighbouring severities and convolve, image by image."""
        del seeds  # deterministic
        height, width = images.shape[2:]
        rows = self.table_with_ends(height, width)
        covered = is_large(height, width)
        below, share = _neighbours(level.flatten().double())
        blurred = torch.empty_like(images)
        # One call per image: the sums of a convolution may be ordered by the size of the batch.
        for i, (low, part) in enumerate(zip(below.tolist(), share.tolist(), strict=True)):
            ends = [row if row is None else tuple(row) for row in rows[low : low + 2]]
            kernel = _blended_disk(ends[0], ends[1], part, covered).to(images)
            blurred[i] = _convolved(images[i], kernel)
        return blurred


def _convolved(image: Tensor, kernel: Tensor) -> Tensor:
    radius = kernel.shape[0] // 2
    wide = padded(padded(image, radius, 2, border="mirror"), radius, 1, border="mirror")
    return F.conv2d(wide[:, None], kernel[None, None])[:, 0]


@lru_cache(maxsize=256)
def _blended_disk(
    low: tuple[float, ...] | None, high: tuple[float, ...] | None, part: float, covered: bool
) -> Tensor:
    kernels = [_disk(row, covered) for row in (low, high)]
    radius = max(len(kernel) // 2 for kernel in kernels)
    total = torch.zeros(2 * radius + 1, 2 * radius + 1, dtype=torch.float64)
    for kernel, weight in zip(kernels, (1.0 - part, part), strict=True):
        margin = radius - len(kernel) // 2
        total += weight * F.pad(kernel, (margin, margin, margin, margin))
    return total


_PARTS = 15  # samples along a pixel's side that tell how much of it the disk covers


@lru_cache(maxsize=256)
def _disk(row: tuple[float, ...] | None, covered: bool) -> Tensor:
    """Kernel of severity ``row``, shape (k, k), float64, with sum 1; None is a single pixel."""
    if row is None:
        return torch.ones(1, 1, dtype=torch.float64)
    radius, edge = row
    parts = _PARTS if covered else 1
    reach = math.ceil(radius) + 2
    place = torch.arange((2 * reach + 1) * parts, dtype=torch.float64)
    place = (place + 0.5) / parts - 0.5 - reach
    inside = (place[:, None] ** 2 + place[None, :] ** 2 <= radius**2).double()
    disk = F.avg_pool2d(inside[None, None], parts)
    steps = torch.arange(-2, 3) if radius > 8 else torch.arange(-1, 2)
    soft = torch.exp(-0.5 * (steps.double() / max(edge, 1e-3)) ** 2)
    soft = soft / soft.sum()
    disk = F.conv2d(disk, (soft[:, None] * soft[None, :])[None, None], padding="same")[0, 0]
    disk = disk / disk.sum()
    filled = (disk > 0).any(dim=0).nonzero().flatten()
    return disk[filled[0] : filled[-1] + 1, filled[0] : filled[-1] + 1].clone()


class MotionBlur(RowCorruption):
    """Smearing along one direction within 45° of the horizontal, drawn by the seed.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261), with ImageMagick's one-sided Gaussian over
        whole-pixel steps, borders repeated.
    """

    name = "motion_blur"
    families = ("motion_blur",)
    parameters = ("radius_px", "sigma_px")
    lengths = frozenset({"radius_px", "sigma_px"})
    small_rows: Rows = ((6.0, 1.0), (6.0, 1.5), (6.0, 2.0), (8.0, 2.0), (9.0, 2.5))
    large_rows: Rows = ((10.0, 3.0), (15.0, 5.0), (15.0, 8.0), (15.0, 12.0), (20.0, 15.0))
    source = _SOURCE

    def transform(self, images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """Smear every image in its own direction."""
        draw = uniform(seeds, 1, device=images.device)[:, 0].double()
        angle = (2.0 * draw - 1.0) * math.pi / 4
        return motion_blur(images, row["radius_px"], row["sigma_px"], angle)


class ZoomBlur(_BlendedBlur):
    """The mean of the image and of enlargements of its middle, as if zooming while exposing.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261).
    """

    name = "zoom_blur"
    families = ("zoom_blur",)
    parameters = ("largest_zoom", "zooms")
    small_rows: Rows = ((1.06, 7.0), (1.11, 12.0), (1.15, 16.0), (1.2, 21.0), (1.25, 26.0))
    large_rows: Rows = ((1.11, 12.0), (1.15, 16.0), (1.2, 11.0), (1.24, 13.0), (1.3, 11.0))
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Mix the blurs of the two neighbouring severities."""
        del seeds  # deterministic
        rows = self.table_with_ends(*images.shape[2:])
        below, share = _neighbours(level.flatten().double())
        blurred = torch.zeros_like(images)
        for severity, row in enumerate(rows):
            weight = torch.where(below == severity, 1.0 - share, torch.zeros_like(share))
            weight = torch.where(below + 1 == severity, share, weight)
            used = weight > 0
            if bool(used.any()):
                blurred[used] += spread(weight[used]) * _zoomed(images[used], row)
        return blurred


def _zoomed(images: Tensor, row: tuple[float, ...] | None) -> Tensor:
    if row is None:
        return images
    largest, count = row[0], round(row[1])
    zooms = torch.linspace(1.0, largest, count, dtype=torch.float64, device=images.device)
    height, width = images.shape[2:]
    rows, columns = zoomed_places(height, zooms), zoomed_places(width, zooms)
    total = images.clone()
    for y, x in zip(rows, columns, strict=True):
        total += looked_up(images, x[None, None, :], y[None, :, None])
    return total / (count + 1)
