"""Peers that learn "right or wrong" from the same evidence as ours, by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gatekeeper.protocols import Evidence, ReliabilityPredictor
from gatekeeper.signals import SIGNAL_NAMES
from gatekeeper.types import FloatArray, IntArray

SKETCH_SIGNALS: tuple[str, ...] = (
    "mean", "contrast", "low_quantile", "high_quantile", "black_share", "white_share", "saturation",
    "dark_channel", "local_contrast", "flat_share", "noise_sigma", "noise_chroma", "noise_tail",
    "salt_share", "pepper_share", "gradient_across", "gradient_down", "blur_sigma", "blockiness",
    "spectrum_band_4",
)  # fmt: skip
"""Twenty simple signals, as an engineer would pick them in an afternoon."""

MOST_ROWS = 30_000
"""Looks that a peer is fitted on at most."""


class ScikitPeer:
    """A scikit-learn classifier that learns from columns of the evidence.

    Args:
        model: With ``fit`` and ``decision_function``.
        columns: Evidence of B looks -> inputs, shape (B, I).
    """

    def __init__(self, model: Any, columns: Callable[[Evidence], FloatArray]) -> None:  # noqa: ANN401  # untyped library
        self.model = model
        self.columns = columns

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """Learn from looks (B rows) and the true class of each (B,)."""
        self.model.fit(self.columns(evidence), evidence.labels == labels)
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Log-odds of being right, shape (B,)."""
        return np.asarray(self.model.decision_function(self.columns(evidence)))


def logit_columns(evidence: Evidence) -> FloatArray:
    """The logits by class, and again from largest to smallest: shape (B, 2 K)."""
    return np.hstack([evidence.logits, -np.sort(-evidence.logits, axis=1)])


def sketch_columns(evidence: Evidence) -> FloatArray:
    """Logits, features, predicted class (one column per class) and twenty simple signals."""
    picked = [SIGNAL_NAMES.index(name) for name in SKETCH_SIGNALS]
    answered = np.eye(evidence.logits.shape[1], dtype=np.float32)[evidence.labels]
    parts = [logit_columns(evidence), answered, evidence.signals[:, picked]]
    if evidence.features is not None:
        parts.append(evidence.features)
    return np.hstack(parts)


def _logistic(seed: int) -> ScikitPeer:
    model = LogisticRegression(max_iter=1000, random_state=seed)
    return ScikitPeer(make_pipeline(StandardScaler(), model), logit_columns)


def _boosting(columns: Callable[[Evidence], FloatArray], seed: int) -> ScikitPeer:
    # 10 % of the looks stop the fit early.
    model = HistGradientBoostingClassifier(early_stopping=True, random_state=seed)
    return ScikitPeer(model, columns)


PEERS: Mapping[str, Callable[[int], ReliabilityPredictor]] = {
    "logistic on logits": _logistic,
    "boosting on logits": lambda seed: _boosting(logit_columns, seed),
    "boosting on logits, features, class, 20 signals": lambda seed: _boosting(sketch_columns, seed),
}
"""Name -> what makes the peer from a seed."""
