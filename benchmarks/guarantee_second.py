"""The second opinion of a gate of the benchmark ``guarantee``, trained once and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.kept import code_digest
from gatekeeper.bundle import SecondOpinion
from gatekeeper.images import Dataset, Splits
from gatekeeper.progress import Progress
from gatekeeper.recipe import Recipe
from gatekeeper.training import second_opinion_steps, train_second_opinion


def second_opinion_from(
    folder: Path,
    recipe: Recipe,
    data: Dataset,
    splits: Splits,
    basis: Mapping[str, Any],
    progress: Progress,
) -> SecondOpinion | None:
    """Trained on *train* under the seen corruptions, with the recipe's seed, or from the disk.

    Args:
        folder: Where it is kept.
        recipe: Of the gate.
        data: The data set.
        splits: Its splits.
        basis: What everything of the gate depends on.
        progress: Told of the training's steps.

    Returns:
        None where the recipe asks for none.
    """
    options = recipe.predictor.second_opinion
    if options is None:
        return None
    facts = {
        "basis": dict(basis),
        "options": options.model_dump(mode="json"),
        "seed": recipe.seed,
        "seen": recipe.conditions.seen,
        "code": code_digest("gatekeeper.training.second_opinion"),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    stem = folder / f"{recipe.name}-second-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    progress.start("train: second opinion", second_opinion_steps(options, len(splits.train)))
    spec = train_second_opinion(
        data,
        splits,
        options,
        corruptions=recipe.conditions.seen,
        weights=stem.with_suffix(".safetensors"),
        # A finished training is read from here.
        checkpoint=stem.with_suffix(".resume.safetensors"),
        seed=recipe.seed,
        on_step=lambda step, loss: progress.advance(1),
    )
    return SecondOpinion(spec=spec, classifier=spec.build())
