"""The restorers of a gate: of records, without weights, or the autoencoder trained on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatekeeper.corruptions import CORRUPTIONS, corruption
from gatekeeper.corruptions.randomness import uniform
from gatekeeper.errors import RecipeError
from gatekeeper.images import Dataset, Splits
from gatekeeper.paths import shipped
from gatekeeper.progress import Progress, Silent
from gatekeeper.protocols import Classifier, Restorer
from gatekeeper.recipe import Recipe
from gatekeeper.restorers import RESTORERS, AutoencoderRestorer
from gatekeeper.restorers.autoencoder import AutoencoderOptions, train_autoencoder
from gatekeeper.training.restorer_record import read_restorer_record, restorer_of_record
from gatekeeper.types import IntArray

OnStep = Callable[[int, float], None]
"""(steps done, loss)"""

_CLEAN_IN_TRAINING = 0.1


def restorers_of(
    recipe: Recipe,
    data: Dataset,
    splits: Splits,
    classifier: Classifier,
    progress: Progress | None = None,
) -> dict[str, Restorer]:
    """The restorers that a gate's recipe routes to, by name.

    Args:
        recipe: What to fit.
        data: The data set.
        splits: Its splits; an autoencoder without a record is trained on *train*.
        classifier: The frozen classifier.
        progress: Told of the training's steps.

    Raises:
        DataError: there is no such record.
        RecipeError: a record was trained on held-out families, or on images that may be among
            those that the gate is fitted or judged on.
    """
    bars = progress or Silent()
    restorers: dict[str, Restorer] = {}
    for name in sorted(set(recipe.restorers.restorer_of.values())):
        if name in recipe.restorers.records:
            folder = shipped("models", recipe.restorers.records[name])
            check_record(read_restorer_record(folder), recipe, data, splits)
            restorers[name] = restorer_of_record(folder)
        elif name == AutoencoderRestorer.name:
            bars.start("train: autoencoder", recipe.restorers.steps)
            restorers[name] = train_restorer(
                data, splits, classifier, recipe, on_step=lambda step, loss: bars.advance(1)
            )
        else:
            restorers[name] = RESTORERS[name]()
    return restorers


def check_record(record: Mapping[str, Any], recipe: Recipe, data: Dataset, splits: Splits) -> None:
    """Refuse a restorer that has seen what the gate must not have seen.

    Args:
        record: Content of ``model.toml``.
        recipe: What to fit.
        data: The data set.
        splits: Its splits.

    Raises:
        RecipeError: it was trained on held-out families, on other images of the same data set, or
            does not say on what.
    """
    missing = {"id", "dataset", "families", "train_digest"} - record.keys()
    if missing:
        raise RecipeError(
            f"expected a record that says what the restorer was trained on, got one without "
            f"{', '.join(sorted(missing))}: train it with `gatekeeper train`"
        )
    held_out = {f for name in recipe.conditions.held_out for f in corruption(name).families}
    if shared := sorted(held_out & set(record["families"])):
        raise RecipeError(
            f"expected restorers that never saw a held-out family, got {record['id']}, which was "
            f"trained on {', '.join(shared)}: train one without, or do not hold them out"
        )
    same = record["train_digest"] == splits.digest_of("train", data.digests)
    if record["dataset"] == data.name and not same:
        raise RecipeError(
            f"expected {record['id']} to be trained on this gate's own train split, got another "
            f"part of {data.name}, which may hold images that judge the gate: use the splits and "
            "the seed of its recipe"
        )


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
        RecipeError: no corruption is routed to the autoencoder, or a record has it.
    """
    options = recipe.restorers
    if AutoencoderRestorer.name in options.records:
        raise RecipeError(
            "the recipe takes the autoencoder from a record: read it with restorers_of, which "
            "trains nothing then"
        )
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
