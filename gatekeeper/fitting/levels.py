"""The levels result that a recipe names, checked against what is being fitted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gatekeeper.errors import GatekeeperError, RecipeError
from gatekeeper.images import Dataset, Splits
from gatekeeper.levels import LevelEstimator, LevelReader, LevelStudy, families_of, fixed_set
from gatekeeper.protocols import Classifier
from gatekeeper.recipe import Recipe

_ESTIMATED_ON = 300


def level_reader(
    recipe: Recipe, data: Dataset, splits: Splits, classifier: Classifier
) -> LevelReader | None:
    """What reads levels off images; None where the recipe names no levels result.

    The level is told by an estimator that is fitted here, on *fit* images; the map is the named
    one.

    Args:
        recipe: What is fitted; ``predictor.levels`` is a file that ``gatekeeper levels`` wrote.
        data: The data set.
        splits: Its splits.
        classifier: The classifier.

    Raises:
        RecipeError: the file cannot be read, is about another classifier, was counted on images
            that calibrate, certify or judge, or a coordinate is a held-out family.
    """
    if recipe.predictor.levels is None:
        return None
    path = Path(recipe.predictor.levels)
    record = _read(path)
    try:
        study = LevelStudy.from_json(record)
    except GatekeeperError as error:
        raise RecipeError(f"the levels in {path} cannot be read: {error}") from error
    _check(record, study, recipe, data, splits, classifier, path)
    images = fixed_set(
        data, splits.fit, seed=recipe.seed, n_images=min(_ESTIMATED_ON, len(splits.fit))
    )
    return LevelReader(study, LevelEstimator(study.space).fit(images, seed=recipe.seed))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        record: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"expected the levels.json of `gatekeeper levels` at {path}, got none that can be "
            f"read: {error}"
        ) from error
    return record


def _check(
    record: Mapping[str, Any],
    study: LevelStudy,
    recipe: Recipe,
    data: Dataset,
    splits: Splits,
    classifier: Classifier,
    path: Path,
) -> None:
    lineage = record.get("lineage") or {}
    if lineage.get("classifier digest") != classifier.digest:
        raise RecipeError(
            f"expected levels of the recipe's own classifier in {path}, got those of another: run "
            "`gatekeeper levels` again"
        )
    if shared := families_of(study.space) & recipe.held_out_families:
        raise RecipeError(
            f"expected levels of families that may be seen in {path}, got {sorted(shared)}, which "
            "the recipe holds out: leave that coordinate out of the space"
        )
    counted = record.get("image_digests") or []
    allowed = data.digests[np.concatenate([splits.fit, splits.validation])]
    if not counted or not set(counted) <= set(allowed.tolist()):
        raise RecipeError(
            f"expected levels that were counted on the recipe's own fit images in {path}, got "
            "others: run `gatekeeper levels … --split fit`"
        )
