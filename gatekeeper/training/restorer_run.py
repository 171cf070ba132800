"""A restorer's recipe from data to record, resumable to the last bit."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from gatekeeper.bundle import ClassifierSpec
from gatekeeper.errors import RecipeError, TrainingError
from gatekeeper.paths import shipped
from gatekeeper.progress import Progress, Silent
from gatekeeper.protocols import Classifier, RestorerTraining
from gatekeeper.training.batches import Batches
from gatekeeper.training.checkpoint import Checkpoint
from gatekeeper.training.degradation import Degradation
from gatekeeper.training.judgement import judge_restorer
from gatekeeper.training.methods import Frozen, method
from gatekeeper.training.record import classifier_of_record, read_record
from gatekeeper.training.restorer_data import ImagesUsed, Sources, sources_of
from gatekeeper.training.restorer_recipe import RestorerRecipe
from gatekeeper.training.restorer_record import TrainedRestorer, write_restorer_record

Announce = Callable[[str], None]

SHIPPED_BYTES = 15_000_000
"""Largest weights of a record that ships."""

_CHECKPOINT = "checkpoint.safetensors"
_VERSIONED = ("torch", "vision-gatekeeper")


def run_restorer_training(
    recipe: RestorerRecipe,
    *,
    out: Path,
    work: Path,
    resume: bool = False,
    data_dir: Path | None = None,
    clean: Path | None = None,
    noisy: Path | None = None,
    progress: Progress | None = None,
    announce: Announce = lambda line: None,
) -> TrainedRestorer:
    """Train a restorer and write its record.

    Args:
        recipe: What to train.
        out: The record's folder: weights, ``model.toml``, ``CARD.md``.
        work: Where the state after every ``checkpoint_every`` steps is kept.
        resume: Go on from the state in ``work``, where there is one; start anew otherwise.
        data_dir: Where to look for the recipe's data first.
        clean: Folder of clean images of any sizes, in place of the recipe's data.
        noisy: Folder of noisy images without clean versions, for methods that learn from them.
        progress: Told of the steps.
        announce: Told in one line where the data come from and how the loss develops.

    Raises:
        DataError: the data are missing or too few.
        InputError: the state in ``work`` is of another training.
        RecipeError: recipe, classifier and images do not fit together.
        TrainingError: the loss is not finite; the last kept state stays in ``work``.
    """
    bars = progress or Silent()
    for folder in (out, work):
        folder.mkdir(parents=True, exist_ok=True)
    sources = sources_of(recipe, data_dir=data_dir, clean=clean, noisy=noisy, announce=announce)
    classifier = _frozen_classifier(recipe, sources)
    training = _training(recipe, classifier)
    identity = _identity(recipe, sources.used, classifier)
    checkpoint = Checkpoint(work / _CHECKPOINT, identity)
    done = checkpoint.load(training) if resume else checkpoint.forget()
    batches = Batches(
        sources.clean,
        Degradation(recipe.corruptions, clean_share=recipe.training.clean_share),
        recipe.training,
        seed=recipe.seed,
        unlabelled=sources.unlabelled,
        unlabelled_degradation=Degradation(recipe.unlabelled) if noisy is None else None,
    )
    n_bytes = sum(t.numel() * t.element_size() for t in training.export().state().values())
    if n_bytes > SHIPPED_BYTES:
        announce(
            f"The weights take {n_bytes / 1e6:.0f} MB: more than the "
            f"{SHIPPED_BYTES / 1e6:.0f} MB of a record that ships."
        )
    todo = range(done, total_steps(recipe))
    bars.start(f"train: {recipe.id}", todo.stop)
    bars.advance(done)
    _follow(training, batches, checkpoint, recipe, todo, bars, announce)
    restorer = training.export()
    trained = TrainedRestorer(
        recipe=recipe,
        restorer=restorer,
        images=sources.used,
        families=Degradation([*recipe.corruptions, *recipe.unlabelled]).families,
        classifier=None if classifier is None else (classifier.model_id, classifier.digest),
        judgements=judge_restorer(
            restorer,
            sources.validation,
            [*recipe.corruptions, *(recipe.unlabelled if noisy is None else ())],
            classifier=classifier,
            seed=recipe.seed,
            side=recipe.training.crop_px,
            at_most=recipe.training.validation_images,
        ),
        versions={name: metadata.version(name) for name in _VERSIONED},
    )
    write_restorer_record(trained, out)
    return trained


def total_steps(recipe: RestorerRecipe) -> int:
    """Steps of the schedule, and those that the method needs before them."""
    chosen = method(recipe.method)
    network = chosen.network_options(recipe.network)
    objective = chosen.objective_options(recipe.objective, recipe.training)
    return recipe.training.steps + chosen.steps_before(network, objective)


def _follow(
    training: RestorerTraining,
    batches: Batches,
    checkpoint: Checkpoint,
    recipe: RestorerRecipe,
    todo: range,
    bars: Progress,
    announce: Announce,
) -> None:
    """All steps that are left; states are kept on the way."""
    for step in todo:
        batch = batches.step(step)
        try:
            # Whatever a method draws from torch's own generator follows from the step alone.
            with torch.random.fork_rng():
                torch.manual_seed(recipe.seed + 1_000_003 * (step + 1))
                loss = training.step(batch)
            if not math.isfinite(loss):
                raise TrainingError(f"expected a finite loss, got {loss}: lower the learning rate")
        except TrainingError as error:
            raise TrainingError(f"step {step + 1}: {error}; {checkpoint.said()}") from error
        bars.advance(1)
        if (step + 1) % recipe.training.checkpoint_every == 0 or step + 1 == todo.stop:
            checkpoint.save(training, step + 1)
            announce(f"step {step + 1:,}: loss {loss:.5f}")


def _frozen_classifier(recipe: RestorerRecipe, sources: Sources) -> Classifier | None:
    """The recipe's classifier, rebuilt.

    Raises:
        RecipeError: it knows other classes than the images have, or it was trained on images that
            it would be asked about on *validation*.
    """
    if recipe.classifier is None:
        return None
    if recipe.classifier.record is not None:
        folder = shipped("models", recipe.classifier.record)
        check_splits(read_record(folder, "classifier"), sources.used)
        spec = classifier_of_record(folder)
    else:
        names = {} if sources.class_names is None else {"class_names": list(sources.class_names)}
        options = {**names, **recipe.classifier.options}
        spec = ClassifierSpec(kind=recipe.classifier.kind, options=options)
    classifier = spec.build()
    if sources.class_names is not None and len(classifier.class_names) != len(sources.class_names):
        raise RecipeError(
            f"expected a classifier of the {len(sources.class_names)} classes of "
            f"{sources.used.name}, got {len(classifier.class_names)}: name another one"
        )
    return classifier


def check_splits(record: Mapping[str, Any], used: ImagesUsed) -> None:
    """Refuse a classifier that may have learned images of this *validation*.

    Args:
        record: Content of the classifier's ``model.toml``.
        used: Images of the restorer.

    Raises:
        RecipeError: it was trained on another part of the same data set.
    """
    if record.get("dataset") == used.name and record.get("train_digest") != used.train_digest:
        raise RecipeError(
            f"expected the train split of {record.get('id')}, got another part of {used.name}: its "
            "accuracy on validation would be that on images it knows; copy seed and data.splits "
            "from its recipe"
        )


def _training(recipe: RestorerRecipe, classifier: Classifier | None) -> RestorerTraining:
    chosen = method(recipe.method)
    return chosen.build(
        chosen.network_options(recipe.network),
        chosen.objective_options(recipe.objective, recipe.training),
        Frozen(
            recognise=getattr(classifier, "logits_with_gradient", None),
            features=getattr(classifier, "features_with_gradient", None),
            seed=recipe.seed,
            device="cuda" if torch.cuda.is_available() else "cpu",
        ),
    )


def _identity(recipe: RestorerRecipe, used: ImagesUsed, classifier: Classifier | None) -> bytes:
    """Of all that the weights depend on."""
    facts = {
        "recipe": recipe.model_dump(
            mode="json",
            include={"method", "seed", "corruptions", "unlabelled", "network", "objective"},
        ),
        "training": recipe.training.model_dump(
            exclude={"checkpoint_every", "validation_images", "validation_share"}
        ),
        "images": [used.train_digest, used.unlabelled_digest],
        "classifier": None if classifier is None else classifier.digest,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
