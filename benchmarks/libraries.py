"""The same numbers by torch-uncertainty, where that is installed."""

from __future__ import annotations

import warnings
from importlib import metadata

import numpy as np

from gatekeeper.mlp import log_softmax
from gatekeeper.types import FloatArray, IntArray

LIBRARY = "torch-uncertainty"


def library_version() -> str | None:
    """The version that is installed, or None."""
    try:
        return metadata.version(LIBRARY)
    except metadata.PackageNotFoundError:
        return None


def library_metrics(logits: FloatArray, labels: IntArray) -> dict[str, float]:
    """AURC, failure AUROC and FPR at 95 % of the largest softmax probability, by the library.

    Its AURC is a trapezoid between coverages 1/N and 1, divided by 1 − 1/N; for large N it tends to
    ours. Failure AUROC is that of torchmetrics, on which the library builds.

    Args:
        logits: Shape (N, K).
        labels: True classes, shape (N,).

    Raises:
        ImportError: the library is missing.
    """
    # The libraries warn about each other and about memory, which is none of ours.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _by_library(logits, labels)


def _by_library(logits: FloatArray, labels: IntArray) -> dict[str, float]:
    import torch
    from torch_uncertainty.metrics.classification import AURC, FPRx
    from torchmetrics.functional.classification import binary_auroc

    probabilities = torch.from_numpy(np.exp(log_softmax(logits.astype(np.float64))))
    truth = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    top, answers = probabilities.max(dim=1)
    right = (answers == truth).long()
    area, wrong_kept = AURC(), FPRx(recall_level=0.95, pos_label=1)
    area.update(probabilities, truth)
    wrong_kept.update(top, right)
    return {
        "aurc": float(area.compute()),
        "failure_auroc": float(binary_auroc(top, right)),
        "fpr95": float(wrong_kept.compute()),
    }
