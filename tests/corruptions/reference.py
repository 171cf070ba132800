"""A small classifier of photograph patches, to see whether a corruption harms."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from torch import Tensor

from tests.corruptions.photos import photos

SIDE = 32


@cache
def patches(per_photo: int, seed: int) -> tuple[Tensor, np.ndarray]:
    """Random patches, shape (N, 3, 32, 32), and the number of the photograph each comes from."""
    rng = np.random.default_rng(seed)
    pictures = photos(64)
    cut, labels = [], []
    for label, picture in enumerate(pictures):
        for top, left in rng.integers(0, 64 - SIDE + 1, (per_photo, 2)):
            cut.append(picture[:, top : top + SIDE, left : left + SIDE])
            labels.append(label)
    return torch.from_numpy(np.stack(cut)), np.array(labels)


@cache
def reference() -> Pipeline:
    images, labels = patches(40, 0)
    # Whitened, so that fine detail counts and a blur is felt.
    pipeline = make_pipeline(PCA(100, whiten=True, random_state=0), LogisticRegression(C=0.1))
    return pipeline.fit(images.flatten(1).numpy(), labels)


def true_class_probability(images: Tensor, labels: np.ndarray) -> np.ndarray:
    """What the reference gives the right answer, shape (N,)."""
    probabilities = reference().predict_proba(images.flatten(1).numpy())
    return probabilities[np.arange(len(labels)), labels]
