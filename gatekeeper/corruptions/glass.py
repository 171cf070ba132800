"""Glass: pixels replaced by their neighbours, between two slight blurs."""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.corruptions.base import RowCorruption, Rows
from gatekeeper.corruptions.filtering import gaussian_blur
from gatekeeper.corruptions.randomness import uniform
from gatekeeper.types import IntArray


class GlassBlur(RowCorruption):
    """Pixels replaced one after the other by a neighbour, as seen through frosted glass.

    Source:
        Hendrycks, Dietterich 2019 (arXiv:1903.12261): from the lower right to the upper left, as
        in the published data. (Its code is written as a swap, but assigns views of one array, so
        that the neighbour keeps its value.) Deviates: pixels that cannot reach one another are
        replaced at once, with the same result; reaches are whole pixels, so the number of passes
        follows the mean square displacement, and a fraction of a pass replaces that share of the
        pixels; no rounding between the steps.
    """

    name = "glass_blur"
    families = ("glass_blur",)
    parameters = ("sigma_px", "reach_px", "passes")
    lengths = frozenset({"sigma_px", "reach_px"})
    small_rows: Rows = (
        (0.05, 1.0, 1.0),
        (0.25, 1.0, 1.0),
        (0.4, 1.0, 1.0),
        (0.25, 1.0, 2.0),
        (0.4, 1.0, 2.0),
    )
    large_rows: Rows = (
        (0.7, 1.0, 2.0),
        (0.9, 2.0, 1.0),
        (1.0, 2.0, 3.0),
        (1.1, 3.0, 2.0),
        (1.5, 4.0, 2.0),
    )
    source = "Hendrycks, Dietterich 2019 (arXiv:1903.12261)"

    def transform(self, images: Tensor, row: dict[str, Tensor], seeds: IntArray) -> Tensor:
        """Blur, replace, blur."""
        batch, channels, height, width = images.shape
        reach = row["reach_px"].round().clamp(min=1)
        passes = row["passes"] * (row["reach_px"] / reach) ** 2
        order = _shuffled(height, width, reach.long(), passes, seeds)
        soft = gaussian_blur(images, row["sigma_px"], border="edge").flatten(2)
        index = order[:, None].expand(batch, channels, height * width)
        mixed = soft.gather(2, index).reshape(images.shape)
        return gaussian_blur(mixed, row["sigma_px"], border="edge")


def _shuffled(height: int, width: int, reach: Tensor, passes: Tensor, seeds: IntArray) -> Tensor:
    """Which pixel of the input each pixel shows, shape (B, H · W)."""
    device = reach.device
    order = torch.arange(height * width, device=device).repeat(len(reach), 1)
    for number in range(int(torch.ceil(passes.max() - 1e-9))):
        partner = _partners(height, width, reach, passes - number, seeds, number)
        for places in _fronts(height, width, int(reach.max()), device):
            order[:, places] = order.gather(1, partner[:, places])
    return order


def _partners(
    height: int, width: int, reach: Tensor, share: Tensor, seeds: IntArray, number: int
) -> Tensor:
    """The pixel that each pixel is replaced by, or itself, shape (B, H · W)."""
    draws = uniform(seeds, 3 * height * width, stream=number, device=reach.device)
    draws = draws.reshape(len(reach), 3, height, width)
    reach = reach[:, None, None]
    offsets = torch.floor(draws[:, :2] * (2 * reach[:, None])).long() - reach[:, None]
    y = torch.arange(height, device=reach.device)[None, :, None]
    x = torch.arange(width, device=reach.device)[None, None, :]
    moves = (y > reach) & (y <= height - reach) & (x > reach) & (x <= width - reach)
    moves = moves & (draws[:, 2] < share[:, None, None])
    partner = (y + offsets[:, 0]) * width + x + offsets[:, 1]
    return torch.where(moves, partner, y * width + x).flatten(1)


def _fronts(height: int, width: int, reach: int, device: torch.device) -> list[Tensor]:
    """Sets of pixels that can be replaced at once, in an order that equals the scan's.

    A pixel reads at most ``reach`` lines and columns away. If each line follows the one below it
    at a distance of more columns than that, a pixel's readable neighbours have been replaced
    exactly where the scan has passed them.
    """
    y = torch.arange(height, device=device)[:, None]
    x = torch.arange(width, device=device)[None, :]
    time = ((height - 1 - y) * (reach + 1) + (width - 1 - x)).flatten()
    places = torch.argsort(time, stable=True)
    ends = torch.bincount(time).cumsum(0).tolist()
    starts = [0, *ends[:-1]]
    return [places[start:end] for start, end in zip(starts, ends, strict=True) if end > start]
