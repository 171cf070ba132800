"""Every error that gatekeeper raises on purpose.

    GatekeeperError
    ├── InputError            an argument, array or option is wrong (also a ValueError)
    │   └── ImageError        bytes that are not an acceptable image; carries a stable ``reason``
    ├── RecipeError           a recipe (TOML) that cannot be followed
    ├── DataError             data that is missing, unreachable or has the wrong digest
    │   └── SplitOverlapError two splits share a base image
    ├── BundleError           a bundle that is changed, incomplete or not for this classifier
    ├── NotFittedError        a fitted thing was used before ``fit``
    ├── TrainingError         a training that went wrong, such as a loss that is not finite
    └── TrackingError         the model registry refused or lacks something

A message is one sentence that says what was expected, what was got and what to do.
"""

from __future__ import annotations


class GatekeeperError(Exception):
    """Base of all errors of this package; catching it catches everything raised on purpose."""


class InputError(GatekeeperError, ValueError):
    """An argument, array or option is not what it must be."""


class ImageError(InputError):
    """Bytes that cannot be accepted as an image.

    Args:
        reason: Stable machine-readable code such as ``"truncated"`` or ``"too_many_pixels"``.
        message: The sentence for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RecipeError(GatekeeperError):
    """A recipe that cannot be followed."""


class DataError(GatekeeperError):
    """Data that is missing, unreachable or not what its digest says."""


class SplitOverlapError(DataError):
    """Two splits share a base image."""


class BundleError(GatekeeperError):
    """A bundle that is changed, incomplete, too new, or fitted for another classifier."""


class NotFittedError(GatekeeperError):
    """A fitted thing was used before ``fit``."""


class TrainingError(GatekeeperError):
    """A training went wrong; what was reached before is kept."""


class TrackingError(GatekeeperError):
    """The model registry refused a request or lacks what was asked for."""
