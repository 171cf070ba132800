"""A trained classifier as a folder: weights, identity, card; written and read back."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gatekeeper.bundle import ClassifierSpec
from gatekeeper.errors import DataError
from gatekeeper.images import Dataset, Splits
from gatekeeper.metrics import exact_proportion_interval
from gatekeeper.training.recipe import TrainingRecipe

MODEL_FILE, CARD_FILE, WEIGHTS_FILE = "model.toml", "CARD.md", "weights.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedClassifier:
    """What is recorded about a training.

    Attributes:
        recipe: What was followed.
        spec: How to rebuild the classifier.
        digest: Of the rebuilt classifier: weights and preprocessing.
        validation: Accuracy on *validation* after each epoch of this run, in [0, 1].
        versions: Of the packages that the weights depend on.
    """

    recipe: TrainingRecipe
    spec: ClassifierSpec
    digest: str
    validation: Sequence[float]
    versions: Mapping[str, str]


def write_classifier_record(
    trained: TrainedClassifier, folder: Path, data: Dataset, splits: Splits
) -> None:
    """Write ``model.toml`` and ``CARD.md`` beside the weights.

    Args:
        trained: The training.
        folder: Where the weights lie already.
        data: The data set.
        splits: Its splits.
    """
    recipe, options = trained.recipe, trained.spec.options
    facts: dict[str, Any] = {
        "id": recipe.id,
        "kind": recipe.kind,
        "method": options["name"],
        "digest": trained.digest,
        "recipe": "recipe.toml",
        "seed": recipe.seed,
        "date": datetime.now(UTC).date().isoformat(),
        "dataset": data.name,
        "dataset_licence": data.licence,
        "train_digest": splits.digest_of("train", data.digests),
        "n_train": len(splits.train),
        "validation_digest": splits.digest_of("validation", data.digests),
        "n_validation": len(splits.validation),
        "validation_accuracy": list(trained.validation),
        "licence": "Apache-2.0",
    }
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items()]
    config = {key: options[key] for key in ("name", "class_names", "model_id")}
    lines += ["", "[config]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in config.items()]
    lines += ["", "[config.kwargs]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in options["kwargs"].items()]
    (folder / MODEL_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / CARD_FILE).write_text(_card(trained, data, splits), encoding="utf-8")


def _card(trained: TrainedClassifier, data: Dataset, splits: Splits) -> str:
    recipe = trained.recipe
    n = len(splits.validation)
    accuracy = trained.validation[-1]
    low, high = exact_proportion_interval(round(accuracy * n), n)
    height, width = trained.spec.options["kwargs"]["size"]
    versions = ", ".join(f"{name} {version}" for name, version in trained.versions.items())
    schedule = recipe.training
    second = (
        f", then {schedule.restart_epochs} epochs of a second cycle with a peak of "
        f"{schedule.restart_learning_rate}"
        if schedule.restart_epochs
        else ""
    )
    small = (
        f", the first {schedule.small_epochs} on crops of {schedule.small_crop_px} px"
        if schedule.small_epochs
        else ""
    )
    architecture, n_classes = trained.spec.options["name"], len(data.class_names)
    train_digest = splits.digest_of("train", data.digests)[:16]
    validation_digest = splits.digest_of("validation", data.digests)[:16]
    return f"""# {recipe.id}

A {architecture} of the timm library that names the {n_classes} classes of {data.name}. It is the
classifier that the reliability benchmarks stand in front of: trained on clean images with flips and
crops only, frozen before any reliability predictor existed for it.

- **Made by** `gatekeeper train models/{recipe.id}/recipe.toml --data-dir DIR`, {versions}.
- **Data** {data.name}, licence: {data.licence}. Weights from *train* ({len(splits.train):,} images,
  digest `{train_digest}`); *validation* ({n:,} images, digest `{validation_digest}`)
  chose no epoch; whatever else it decided stands in the recipe's comments.
- **Schedule** {schedule.epochs} epochs{small}, batches of {schedule.batch_size}, one cycle of SGD
  with a peak learning rate of {schedule.learning_rate}{second}; weights of the last epoch.
- **Input** {height}×{width} px, normalised as `model.toml` says.
- **Terms** The weights are under Apache-2.0, as the code. {recipe.terms}

## Numbers

Accuracy on *validation*, clean: {accuracy:.1%} (exact 95 % interval {low:.1%}–{high:.1%},
n = {n:,}).
`python -m benchmarks.failure_detection` measures *test*, clean and under every corruption.

## Known failures

- Never saw a corrupted image: noise, blur and low contrast break it, which is why it is here.
- The images it was made from are JPEG files; on other encodings of the same pictures its accuracy
  differs.
"""


def classifier_of_record(folder: Path) -> ClassifierSpec:
    """How to rebuild the classifier of a record.

    Args:
        folder: Holds ``model.toml`` and ``weights.safetensors``.

    Raises:
        DataError: a file is missing or the record is not that of a classifier.
    """
    record = read_record(folder, "classifier")
    options = {**record["config"], "checkpoint": str(folder / WEIGHTS_FILE)}
    return ClassifierSpec(kind="timm", options=options)


def read_record(folder: Path, kind: str) -> dict[str, Any]:
    """The content of a record's ``model.toml``.

    Args:
        folder: Of the record.
        kind: ``"classifier"`` or ``"restorer"``.

    Raises:
        DataError: it is missing or damaged, or of another kind.
    """
    path = folder / MODEL_FILE
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"expected the record of a model in {path}, got: {error}") from error
    if record.get("kind") != kind:
        raise DataError(
            f"expected the record of a {kind} in {path}, got kind {record.get('kind')!r}"
        )
    return record
