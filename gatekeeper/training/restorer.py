"""Recipe → trained restorer: the autoencoder, for the corruptions that are routed to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.corruptions.randomness import uniform
from gatekeeper.errors import RecipeError
from gatekeeper.images import Dataset, Splits
from gatekeeper.protocols import Classifier
from gatekeeper.recipe import Recipe
from gatekeeper.restorers import AutoencoderRestorer
from gatekeeper.restorers.autoencoder import AutoencoderOptions, train_autoencoder
from gatekeeper.types import IntArray

OnStep = Callable[[int, float], None]
"""(steps done, loss)"""

_CLEAN_IN_TRAINING = 0.1


def train_restorer(
    data: Dataset,
    splits: Splits,
    classifier: Classifier,
    recipe: Recipe,
    *,
    on_step: OnStep = lambda step, loss: None,
) -> AutoencoderRestorer:
    """Train the autoencoder on *train*, for the corruptions that are routed to it.

    The levels are drawn continuously between none and a little above severity 5.

    Raises:
        RecipeError: no corruption is routed to the autoencoder.
    """
    options = recipe.restorers
    names = sorted(n for n, r in options.restorer_of.items() if r == AutoencoderRestorer.name)
    if not names:
        raise RecipeError("no corruption is routed to the autoencoder: set its steps to 0")
    recognise = getattr(classifier, "logits_with_gradient", None)
    network = train_autoencoder(
        lambda rows: data.batch(splits.train[rows]),
        data.labels[splits.train],
        degrade=lambda images, seeds: _degrade(images, seeds, names),
        recognise=recognise if options.recognition_weight > 0 else None,
        options=AutoencoderOptions(
            steps=options.steps,
            batch_size=options.batch_size,
            recognition_weight=options.recognition_weight,
        ),
        seed=recipe.seed,
        device="cuda" if torch.cuda.is_available() else "cpu",
        on_step=on_step,
    )
    return AutoencoderRestorer(network)


def _degrade(images: Tensor, seeds: IntArray, names: list[str]) -> Tensor:
    draws = uniform(seeds, 3, stream=7).numpy()
    kind = (draws[:, 0] * len(names)).astype(int)
    clean = draws[:, 1] < _CLEAN_IN_TRAINING
    degraded = images.clone()
    for position, name in enumerate(names):
        rows = np.flatnonzero((kind == position) & ~clean)
        if len(rows):
            levels = CORRUPTIONS[name].levels
            mildest, worst = 0.4 * levels[0], 1.1 * levels[-1]
            level = mildest + (worst - mildest) * torch.from_numpy(draws[rows, 2])
            degraded[rows] = CORRUPTIONS[name].at(images[rows], level=level, seeds=seeds[rows])
    return degraded
