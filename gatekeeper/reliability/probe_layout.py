"""How the columns of ``Evidence.probes`` are laid out.

A probe looks at a slightly changed copy of the image, a *view*, and records what the classifier
says about it: the log-softmax of its logits, K columns. Views stand side by side in a declared
order, so with V views P = V · K and

    probes[:, v · K + k] = ln P(class k | view v).

Where no probe is configured P is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.protocols import Evidence
from gatekeeper.reliability.inputs import Float64Array
from gatekeeper.types import FloatArray

PROBE_VIEWS: tuple[str, ...] = ("flip", "smooth")
"""The usual views: mirrored left to right; smoothed by the 3×3 binomial filter."""

# Log-probabilities that were stored in single precision sum to 1 up to this.
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLayout:
    """Which views, in which order, of a classifier with how many classes.

    Attributes:
        views: Names of the views, each once, at least one.
        n_classes: K, at least 2.

    Raises:
        InputError: no view, a view that occurs twice, or fewer than two classes.
    """

    views: tuple[str, ...] = PROBE_VIEWS
    n_classes: int

    def __post_init__(self) -> None:
        """Refuse a layout with no columns or with two meanings for one name."""
        if not self.views or len(set(self.views)) != len(self.views) or self.n_classes < 2:
            raise InputError(
                "expected at least one view, each once, and at least 2 classes, "
                f"got views {self.views} and {self.n_classes} classes"
            )

    @property
    def width(self) -> int:
        """Number of columns P."""
        return len(self.views) * self.n_classes

    def join(self, log_probabilities: Mapping[str, FloatArray]) -> FloatArray:
        """Views → probes.

        Args:
            log_probabilities: View → shape (B, K), log-softmax of the logits of that view.

        Returns:
            Shape (B, P), float32, views in the order of the layout.

        Raises:
            InputError: a view is missing, unknown or has another shape.
        """
        if set(log_probabilities) != set(self.views):
            raise InputError(
                f"expected the views {', '.join(self.views)}, "
                f"got {', '.join(sorted(log_probabilities)) or 'none'}"
            )
        parts = [np.asarray(log_probabilities[view], dtype=np.float32) for view in self.views]
        shapes = {part.shape for part in parts}
        if len(shapes) != 1 or parts[0].ndim != 2 or parts[0].shape[1] != self.n_classes:
            raise InputError(
                f"expected every view to have shape (B, {self.n_classes}), got {sorted(shapes)}"
            )
        return np.concatenate(parts, axis=1)

    def split(self, probes: FloatArray) -> dict[str, FloatArray]:
        """Probes → views; the inverse of :meth:`join`.

        Args:
            probes: Shape (B, P).

        Returns:
            View → shape (B, K), in the order of the layout.

        Raises:
            InputError: another number of columns.
        """
        if probes.ndim != 2 or probes.shape[1] != self.width:
            raise InputError(
                f"expected probes of shape (B, {self.width}), {self.n_classes} columns for each of "
                f"{', '.join(self.views)}, got {probes.shape}"
            )
        return dict(zip(self.views, np.split(probes, len(self.views), axis=1), strict=True))


def view_log_probabilities(evidence: Evidence, *, reader: str) -> Float64Array:
    """What the classifier says about the views of each look.

    Args:
        evidence: B looks with probes; B may be 0.
        reader: Name of the score that reads them, for the error.

    Returns:
        Shape (B, V, K), float64, natural logarithms, at most 0; −inf where a class has
        probability 0.

    Raises:
        InputError: there are no probes, their number is no multiple of K, or a view's
            probabilities do not sum to 1.
    """
    n_classes = evidence.logits.shape[1]
    n_columns = evidence.probes.shape[1]
    if n_columns == 0:
        raise InputError(
            f"{reader} reads probes and this evidence has none; configure probe views "
            f"({', '.join(PROBE_VIEWS)}), or use a score of the logits"
        )
    if n_columns % n_classes:
        raise InputError(
            f"expected probes with {n_classes} columns per view, one per class, got {n_columns} "
            "columns in all"
        )
    views = np.ascontiguousarray(evidence.probes, dtype=np.float64)
    views = views.reshape(len(views), n_columns // n_classes, n_classes)
    with np.errstate(over="ignore"):  # an overflow is a sum that is not 1, refused below
        totals = np.exp(views).sum(axis=2)
    # NaN fails the comparison too.
    good = np.abs(totals - 1.0) <= _TOLERANCE
    if not good.all():
        raise InputError(
            "expected probes that are log-softmax rows, each with probabilities that sum to 1, got "
            f"{np.count_nonzero(~good)} of {good.size} that do not; store the log-softmax of each "
            "view's logits"
        )
    return views
