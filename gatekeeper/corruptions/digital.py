"""Digital: elastic distortion, pixelation, JPEG."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gatekeeper.corruptions.base import RowCorruption, Rows, TabulatedCorruption, store_8_bit
from gatekeeper.corruptions.filtering import smooth_field
from gatekeeper.corruptions.randomness import uniform
from gatekeeper.corruptions.warping import grid, looked_up
from gatekeeper.types import IntArray

_SOURCE = "Hendrycks, Dietterich 2019 (arXiv:1903.12261)"


class ElasticTransform(RowCorruption):
    """A small random affine map, then a smooth random displacement of every pixel.

    The parameters: ``strength_px`` multiplies uniform noise in −1…1 smoothed by ``sigma_px``;
    ``corners_px`` is the largest displacement of the three points that fix the affine map.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261), after Simard et al. 2003. Deviates: the
        smoothing kernel is not cut; both look-ups mirror at the borders of the outermost pixels.
    """

    name = "elastic_transform"
    families = ("elastic_transform",)
    parameters = ("strength_px", "sigma_px", "corners_px")
    lengths = frozenset({"strength_px", "sigma_px", "corners_px"})
    small_rows: Rows = (
        (0.0, 0.0, 2.56),
        (1.6, 6.4, 2.24),
        (2.56, 1.92, 1.92),
        (3.2, 1.28, 1.6),
        (3.2, 0.96, 0.96),
    )
    large_rows: Rows = (
        (488.0, 170.8, 24.4),
        (488.0, 19.52, 48.8),
        (12.2, 2.44, 4.88),
        (17.08, 2.44, 4.88),
        (29.28, 2.44, 4.88),
    )
    source = _SOURCE

    def transform(self, images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """Two look-ups: the affine map and the displacement."""
        batch, _, height, width = images.shape
        moved = looked_up(images, *_affine_places(images, row["corners_px"], seeds))
        x, y = grid(images)
        fields = []
        for stream in (1, 2):
            noise = uniform(seeds, height * width, stream=stream, device=images.device)
            noise = (2.0 * noise - 1.0).reshape(batch, height, width)
            strength = row["strength_px"].to(images.dtype)[:, None, None]
            fields.append(strength * smooth_field(noise, row["sigma_px"]))
        return looked_up(moved, x + fields[0], y + fields[1])


def _affine_places(images: Tensor, corners: Tensor, seeds: IntArray) -> tuple[Tensor, Tensor]:
    """Where every pixel comes from under the affine map that three moved points fix."""
    height, width = images.shape[2:]
    middle_x, middle_y, arm = (
        float(width // 2),
        float(height // 2),
        float(max(1, min(height, width) // 3)),
    )
    points = torch.tensor(
        [
            [middle_x + arm, middle_y + arm, 1.0],
            [middle_x + arm, middle_y - arm, 1.0],
            [middle_x - arm, middle_y - arm, 1.0],
        ],
        dtype=torch.float64,
        device=images.device,
    )
    draws = uniform(seeds, 6, device=images.device).double().reshape(-1, 3, 2)
    target = points[None, :, :2] + (2.0 * draws - 1.0) * corners.reshape(-1, 1, 1)
    # Solved backwards, from the moved points to the fixed ones: output pixels look up the input.
    ones = torch.ones(len(target), 3, 1, dtype=torch.float64, device=images.device)
    back = torch.linalg.solve(torch.cat([target, ones], dim=2), points[:, :2].expand_as(target))
    x, y = (place.double() for place in grid(images))
    sources = [
        back[:, 0, i, None, None] * x + back[:, 1, i, None, None] * y + back[:, 2, i, None, None]
        for i in (0, 1)
    ]
    return sources[0].float(), sources[1].float()


class Pixelate(TabulatedCorruption):
    """The image at a lower resolution; level is the ratio of the sides.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261): box filter down, nearest pixel up, as
        Pillow's BOX does, in floating point.
    """

    name = "pixelate"
    families = ("pixelate",)
    levels = (0.95, 0.9, 0.85, 0.75, 0.65)
    large_levels = (0.6, 0.5, 0.4, 0.3, 0.25)
    unit = "share of the side"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Average over cells, along rows and columns."""
        del seeds  # deterministic
        for axis in (3, 2):
            images = _cell_means(images, level.flatten(), axis)
        return images


def _cell_means(images: Tensor, share: Tensor, axis: int) -> Tensor:
    size = images.shape[axis]
    # 1e-6: a share such as 0.95 is a little less in float32, and 0.95 · 20 must stay 19.
    cells = torch.floor(size * share.double() + 1e-6).clamp(1, size)[:, None]
    whole = torch.full_like(cells, size)  # a tensor: torch divides by a number through its inverse
    stride = whole / cells
    pixel = torch.arange(size, dtype=torch.float64, device=images.device)[None, :]
    cell = torch.floor((pixel + 0.5) * (cells / whole))
    # The pixels whose middle lies in the cell, its lower end excluded, in Pillow's arithmetic:
    # at a tie its rounding decides.
    middle = (cell + 0.5) * stride
    first, last = (torch.floor(middle + sign * 0.5 * stride + 0.5) for sign in (-1.0, 1.0))
    inverse = torch.ones_like(stride) / stride
    first = torch.where((first - middle + 0.5) * inverse <= -0.5, first + 1, first)
    last = torch.where((last - 1 - middle + 0.5) * inverse > 0.5, last - 1, last)
    first, last = first.clamp(0, size - 1).long(), last.clamp(1, size).long()
    sums = F.pad(images.double().movedim(axis, 3).cumsum(dim=3), (1, 0))
    index = [bound[:, None, None, :].expand(*sums.shape[:3], size) for bound in (first, last)]
    total = sums.gather(3, index[1]) - sums.gather(3, index[0])
    means = total / (last - first)[:, None, None, :]
    return means.to(images.dtype).movedim(3, axis)


class JpegCompression(TabulatedCorruption):
    """JPEG with chroma at half the resolution; level is the quality, rounded to a whole number.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261): Pillow's encoder with its default chroma
        subsampling (4:2:0).
    """

    name = "jpeg_compression"
    families = ("jpeg",)
    levels = (80.0, 65.0, 58.0, 50.0, 40.0)
    large_levels = (25.0, 18.0, 15.0, 10.0, 7.0)
    unit = "quality, 1…100"
    source = _SOURCE

    def degrade(self, images: Tensor, level: Tensor, seeds: IntArray) -> Tensor:
        """Encode and decode, image by image."""
        del seeds  # deterministic
        return through_jpeg(images, level.flatten())


def through_jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] after JPEG at one quality each (B,), rounded, in 1…100."""
    codes = (store_8_bit(images) * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1)
    pixels = codes.contiguous().cpu().numpy()
    qualities = quality.round().clamp(1, 100).int().tolist()
    decoded = np.stack(
        [_one_jpeg(image, quality) for image, quality in zip(pixels, qualities, strict=True)]
    )
    result = torch.from_numpy(decoded).to(images.device).permute(0, 3, 1, 2).to(images.dtype)
    return (result / 255.0).contiguous()


def _one_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as stored:
        return np.asarray(stored)
