"""A training recipe from data to record."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from gatekeeper.images import load_dataset, make_splits
from gatekeeper.progress import Progress, Silent
from gatekeeper.training.classifier import classifier_steps, train_classifier
from gatekeeper.training.recipe import TrainingRecipe
from gatekeeper.training.record import WEIGHTS_FILE, TrainedClassifier, write_classifier_record

_CHECKPOINT = "checkpoint.safetensors"
_VERSIONED = ("torch", "timm", "vision-gatekeeper")


def run_training(
    recipe: TrainingRecipe,
    *,
    out: Path,
    work: Path,
    resume: bool = False,
    data_dir: Path | None = None,
    progress: Progress | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> TrainedClassifier:
    """Train a classifier and write its record.

    Args:
        recipe: What to train.
        out: The record's folder: weights, ``model.toml``, ``CARD.md``.
        work: Where the state after each epoch is kept.
        resume: Go on from the state in ``work``, where there is one; start anew otherwise.
        data_dir: Where to look for the data first.
        progress: Told of the steps.
        announce: Told in one line where the data come from and how accuracy develops.

    Raises:
        DataError: the data are missing or too few.
        InputError: the state in ``work`` is of another training.
    """
    bars = progress or Silent()
    for folder in (out, work):
        folder.mkdir(parents=True, exist_ok=True)
    checkpoint = work / _CHECKPOINT
    if not resume:
        checkpoint.unlink(missing_ok=True)
    data = load_dataset(
        recipe.data.dataset, data_dir=data_dir, image_size=recipe.data.image_size, announce=announce
    )
    splits = make_splits(
        data.labels,
        data.digests,
        test_index=data.test_index,
        sizes=recipe.data.splits.given(),
        seed=recipe.seed,
    )
    validation: list[float] = []
    bars.start(f"train: {recipe.id}", classifier_steps(recipe.training, len(splits.train)))
    seen = 0

    def on_step(step: int, _loss: float) -> None:
        nonlocal seen
        bars.advance(step - seen)
        seen = step

    def on_epoch(epoch: int, accuracy: float) -> None:
        validation.append(accuracy)
        announce(f"epoch {epoch}: {accuracy:.2%} right on validation")

    spec = train_classifier(
        data,
        splits,
        recipe.training,
        weights=out / WEIGHTS_FILE,
        seed=recipe.seed,
        architecture=recipe.architecture,
        kwargs=recipe.kwargs,
        size=recipe.size,
        model_id=recipe.id,
        checkpoint=checkpoint,
        on_step=on_step,
        on_epoch=on_epoch,
    )
    trained = TrainedClassifier(
        recipe=recipe,
        spec=spec,
        digest=spec.build(device="cpu").digest,
        validation=validation,
        versions={name: metadata.version(name) for name in _VERSIONED},
    )
    write_classifier_record(trained, out, data, splits)
    return trained
