"""From an image to what a network was trained on: resize, centre crop, normalise."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from gatekeeper.errors import InputError

Interpolation = Literal["bilinear", "bicubic"]
CropMode = Literal["center", "squash"]

_CHANNELS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """A classifier's own resizing and normalisation; a wrong mean silently costs accuracy.

    Attributes:
        size: Height and width of the network's input, in pixels.
        mean: Per channel (RGB), subtracted from values in [0, 1].
        std: Per channel, divides afterwards; positive.
        interpolation: ``"bilinear"`` or ``"bicubic"``, both with antialiasing.
        crop_pct: Share of the resized image that the crop keeps, in (0, 1].
        crop_mode: ``"center"`` keeps the aspect ratio and crops the centre; ``"squash"`` resizes
            both sides to the same box first.

    Raises:
        InputError: a value is outside its range or has the wrong length.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Interpolation = "bilinear"
    crop_pct: float = 1.0
    crop_mode: CropMode = "center"

    def __post_init__(self) -> None:
        """Refuse values that would give an empty or a meaningless input."""
        # Recipes are not type-checked, so the declared lengths and types are not relied on.
        size: tuple[object, ...] = self.size
        if len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
            raise InputError(
                f"expected size as two positive whole numbers (height, width), got {self.size}"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != _CHANNELS or not all(math.isfinite(value) for value in values):
                raise InputError(f"expected {name} as three finite numbers (RGB), got {values}")
        if min(self.std) <= 0:
            raise InputError(f"expected every std to be positive, got {self.std}")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise InputError(
                f"expected interpolation bilinear or bicubic, got {self.interpolation!r}: "
                "declare one of them"
            )
        if not 0 < self.crop_pct <= 1:
            raise InputError(f"expected crop_pct in (0, 1], got {self.crop_pct}")
        if self.crop_mode not in ("center", "squash"):
            raise InputError(
                f"expected crop_mode center or squash, got {self.crop_mode!r}: declare one of them"
            )

    def apply(self, images: Tensor) -> Tensor:
        """Resize, crop the centre and normalise; the input is left untouched.

        Args:
            images: Shape (B, 3, H, W), in [0, 1].

        Returns:
            Shape (B, 3, *size), normalised; a row depends on its own image only. An image that
            already has the size is not resampled.
        """
        resized = self._resize(images)
        height, width = self.size
        # Rounded half to even, like the crop that nearly every network was evaluated with.
        top = round((resized.shape[2] - height) / 2)
        left = round((resized.shape[3] - width) / 2)
        cropped = resized[:, :, top : top + height, left : left + width]
        mean = torch.tensor(self.mean, dtype=images.dtype, device=images.device)
        std = torch.tensor(self.std, dtype=images.dtype, device=images.device)
        return (cropped - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)

    def _resize(self, images: Tensor) -> Tensor:
        old = (images.shape[2], images.shape[3])
        new = self._resized(*old)
        if new == old:
            return images
        resized = F.interpolate(
            images, size=new, mode=self.interpolation, align_corners=False, antialias=True
        )
        # Bicubic overshoots; a decoder's 8-bit resize, which networks are trained with, clips.
        return resized.clamp(0.0, 1.0) if self.interpolation == "bicubic" else resized

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Size before the crop: the smallest that covers the box, or the box itself."""
        box_height, box_width = (math.floor(side / self.crop_pct) for side in self.size)
        if self.crop_mode == "squash":
            return box_height, box_width
        if box_height * width >= box_width * height:
            return box_height, box_height * width // height
        return box_width * height // width, box_width

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON-ready data; :meth:`from_json` rebuilds it."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_json(cls, declared: Mapping[str, Any]) -> Self:
        """Build from declared values: a recipe's, or those of :meth:`to_json`.

        Args:
            declared: ``size`` (one number for a square, or height and width), ``mean``, ``std``,
                and optionally the other fields.

        Raises:
            InputError: a field is unknown, missing or outside its range.
        """
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(declared) - set(names))
        missing = [name for name in ("size", "mean", "std") if declared.get(name) is None]
        if unknown or missing:
            raise InputError(
                f"expected preprocessing with size, mean and std among {', '.join(names)}, got "
                f"{', '.join(sorted(declared)) or 'nothing'}: declare them"
            )
        values = {key: declared[key] for key in names if key in declared}
        if isinstance(values["size"], int):
            values["size"] = (values["size"], values["size"])
        values["size"] = tuple(_numbers("size", values["size"]))
        for key in ("mean", "std"):
            # As floats, so that 0 and 0.0 have one digest.
            values[key] = tuple(float(number) for number in _numbers(key, values[key]))
        if "crop_pct" in values:
            (values["crop_pct"],) = map(float, _numbers("crop_pct", [values["crop_pct"]]))
        return cls(**values)

    @property
    def digest(self) -> str:
        """The sha256 over all fields, 64 hex digits."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


def _numbers(name: str, declared: object) -> Sequence[float]:
    if not isinstance(declared, Sequence) or not all(type(n) in (int, float) for n in declared):
        raise InputError(f"expected {name} to be made of numbers, got {declared!r}")
    return declared
