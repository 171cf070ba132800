"""Labelled images as every data source hands them over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gatekeeper.errors import DataError
from gatekeeper.images.digests import StrArray, image_digests
from gatekeeper.images.resize import fit_to
from gatekeeper.types import BoolArray, IntArray

_CHUNK = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """N images of one size with their classes; large ones stay on disk until they are asked for.

    Attributes:
        name: Short name for outputs, such as ``"fashion-mnist"``.
        images: uint8, shape (N, H, W) for grey or (N, H, W, 3) for RGB.
        labels: Position in ``class_names``, int64, shape (N,).
        class_names: Length K.
        test_index: Positions of the official test part, int64; empty where there is none.
        licence: Licence of the data.
        source: Where these data were found, as a sentence.
        note: Anything else that a reader of results must know; may be empty.

    Raises:
        DataError: the parts do not fit together.
    """

    name: str
    images: npt.NDArray[np.uint8]
    labels: IntArray
    class_names: tuple[str, ...]
    test_index: IntArray
    licence: str
    source: str
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse data that contradict themselves."""
        shape, count = self.images.shape, len(self.labels)
        right_shape = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
        if self.images.dtype != np.uint8 or not right_shape or shape[0] != count or not count:
            raise DataError(
                f"{self.name}: expected one uint8 image (H, W) or (H, W, 3) per label, at least "
                f"one, got {self.images.dtype} {shape} and {count} labels"
            )
        if not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names):
            raise DataError(
                f"{self.name}: expected labels in 0…{len(self.class_names) - 1}, got "
                f"{int(self.labels.min())}…{int(self.labels.max())}"
            )

    def __len__(self) -> int:
        """Number of images N."""
        return len(self.labels)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.images.shape[1], self.images.shape[2]

    @cached_property
    def digests(self) -> StrArray:
        """Image digests (see :mod:`gatekeeper.images.digests`), shape (N,)."""
        return image_digests(self.images)

    def batch(self, indices: IntArray | BoolArray | slice) -> Tensor:
        """The images at some positions (index, mask or slice), in that order.

        Returns:
            Shape (B, 3, H, W), float32, values in [0, 1]; grey repeated to three channels.
        """
        return _as_tensor(self.images[indices])

    def resized(self, size: tuple[int, int]) -> Dataset:
        """The same data at another height and width (see :func:`gatekeeper.images.fit_to`)."""
        if size == self.image_size:
            return self
        resized = np.empty((len(self), *size, *self.images.shape[3:]), dtype=np.uint8)
        for start in range(0, len(self), _CHUNK):
            rows = slice(start, start + _CHUNK)
            levels = fit_to(self.batch(rows), size).mul(255).round().byte().permute(0, 2, 3, 1)
            resized[rows] = levels[..., 0] if resized.ndim == 3 else levels
        return replace(self, images=resized)


def _as_tensor(pixels: npt.NDArray[np.uint8]) -> Tensor:
    values = torch.from_numpy(np.array(pixels)).float().div_(255)
    if values.ndim == 3:
        return values.unsqueeze(1).repeat(1, 3, 1, 1)
    return values.permute(0, 3, 1, 2).contiguous()
