"""What every classifier checks before and after it looks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.protocols import LogitsKind, Look
from gatekeeper.types import FloatArray

# Resampling and restoring in float32 may leave [0, 1] by rounding; 0…255 or normalised may not.
_ROUNDING = 1e-3


def check_images(images: object) -> None:
    """Refuse what is not a batch of images as this package defines it.

    Args:
        images: To be float32, shape (B, 3, H, W) with B at least 1, values in [0, 1].

    Raises:
        InputError: type, shape or range is another; NaN is outside every range.
    """
    if not isinstance(images, Tensor) or images.dtype != torch.float32:
        got = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise InputError(f"expected images as a float32 tensor, got {got}: convert them")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise InputError(
            f"expected images of shape (B, 3, H, W) with B at least 1, got {tuple(images.shape)}"
        )
    low, high = (float(bound) for bound in torch.aminmax(images))
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise InputError(
            f"expected image values in [0, 1], got {low:.4g} to {high:.4g}: divide 8-bit values "
            "by 255 and leave normalisation to the classifier"
        )


def checked_class_names(class_names: Iterable[object]) -> tuple[str, ...]:
    """The class names as a tuple.

    Raises:
        InputError: there are fewer than two, one is empty or not a string, or two are equal.
    """
    names = () if isinstance(class_names, str) else tuple(class_names)
    if len(names) < 2 or not all(isinstance(name, str) and name for name in names):
        raise InputError(
            f"expected class names as a list of at least two non-empty strings, got {class_names!r}"
        )
    if len(set(names)) != len(names):
        raise InputError(f"expected each class name once, got {names}")
    return tuple(str(name) for name in names)


def checked_look(
    logits: FloatArray,
    features: FloatArray | None,
    *,
    kind: LogitsKind,
    n_images: int,
    n_classes: int,
) -> Look:
    """A look whose rows and columns are what they must be.

    Raises:
        InputError: a shape differs from (B, K) or (B, F), a number is not finite, or declared
            log-probabilities do not sum to one.
    """
    if logits.shape != (n_images, n_classes):
        raise InputError(
            f"expected one logit per image and class name, shape ({n_images}, {n_classes}), got "
            f"{logits.shape}: check the class names and the network's output"
        )
    if features is not None and (features.ndim != 2 or len(features) != n_images):
        raise InputError(
            f"expected features of shape ({n_images}, F), got {features.shape}: "
            "name a layer or output with one vector or one map per image"
        )
    if not (np.isfinite(logits).all() and (features is None or np.isfinite(features).all())):
        raise InputError(
            "expected finite logits and features, got NaN or infinity: check the weights"
        )
    if kind == "log_probabilities" and np.abs(np.exp(logits).sum(axis=1) - 1).max() > 1e-3:
        raise InputError(
            "expected log-probabilities, whose exponentials sum to 1, got other numbers: "
            'declare kind = "logits" or take the logarithm'
        )
    return Look(logits=logits, kind=kind, features=features)
