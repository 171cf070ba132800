"""Mildly changed views of an image, through which a probe asks whether an answer survives.

A view keeps what an image shows; a reliable answer is the same on all of them. Views are fixed and
untrained, so that they favour no family of corruptions. One line in ``VIEWS`` enters a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from torch import Tensor
from torch.nn import functional as F

from gatekeeper.errors import InputError

__all__ = ["VIEWS", "check_views", "flip", "smooth"]


def flip(images: Tensor) -> Tensor:
    """Mirror images left to right, shape (B, 3, H, W)."""
    return images.flip(3)


def smooth(images: Tensor) -> Tensor:
    """Average every pixel with its neighbours by the 3×3 binomial kernel, borders mirrored.

    Noise falls to about 37 % of its standard deviation, while edges stay where they are.
    """
    kernel = images.new_tensor([0.25, 0.5, 0.25])
    channels = images.shape[1]
    across = kernel.view(1, 1, 1, 3).expand(channels, 1, 1, 3)
    down = kernel.view(1, 1, 3, 1).expand(channels, 1, 3, 1)
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    return F.conv2d(F.conv2d(padded, across, groups=channels), down, groups=channels).clamp(0, 1)


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {"flip": flip, "smooth": smooth}


def check_views(names: Sequence[str]) -> tuple[str, ...]:
    """The names, if there is a view of each and none occurs twice.

    Raises:
        InputError: a view is unknown (the message lists near matches) or named twice.
    """
    for name in names:
        if name not in VIEWS:
            near = get_close_matches(name, VIEWS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"expected views among {', '.join(sorted(VIEWS))}, got {name!r}{hint}")
    if len(set(names)) != len(names):
        raise InputError(f"expected each view once, got {', '.join(names)}")
    return tuple(names)
