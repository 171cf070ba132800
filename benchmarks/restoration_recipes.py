"""What each training recipe of a restorer costs: a few steps on random pixels, no data needed.

    python -m benchmarks.restoration_recipes [models/A.toml …] [--steps 3] [--batch N]

Every recipe is read, its networks are built and stepped as ``gatekeeper train`` would step them, on
random pixels of the size it asks for. Told are the size of the weights, the processor time of a
step in one thread, the most memory that a step takes, and what the whole training would take in one
thread. All recipes directly below ``models/`` unless some are named; nothing is written.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.kept import ROOT
from benchmarks.restoration_speed import peak_mib
from gatekeeper.bundle import ClassifierSpec
from gatekeeper.errors import InputError
from gatekeeper.images import image_digests
from gatekeeper.paths import shipped
from gatekeeper.protocols import Classifier, RestorerTraining
from gatekeeper.training import classifier_of_record
from gatekeeper.training.batches import Batches
from gatekeeper.training.degradation import Degradation
from gatekeeper.training.methods import Frozen, method
from gatekeeper.training.recipe import load_training_recipe
from gatekeeper.training.restorer_recipe import RestorerRecipe
from gatekeeper.training.sources import FolderImages
from gatekeeper.types import IntArray

SMALL_PX = 32
"""Side of the images of a recipe that takes whole images and names no size: CIFAR-10's."""

_N_IMAGES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a recipe costs.

    Attributes:
        part: ``"restorer"``, or ``"autoencoder"`` for the steps before those of a latent chain.
        parameters: Numbers among the exported weights.
        weights_mb: Size of the exported weights, in units of 1,000,000 bytes.
        seconds: Processor time of a step, one thread.
        peak_mib: Most memory that a first step takes beyond what was there; None where the system
            does not tell.
        steps: Of the whole training.
        batch_size: With which it was measured.
        wanted: Batch size of the recipe.
    """

    part: str
    parameters: int
    weights_mb: float
    seconds: float
    peak_mib: float | None
    steps: int
    batch_size: int
    wanted: int

    @property
    def minutes(self) -> float:
        """Of the whole training in one thread; the cost of a step grows with its batch."""
        return self.steps * self.seconds * self.wanted / self.batch_size / 60


class _Random(FolderImages):
    """Random pixels with random classes."""

    def __init__(self, side: int, n_classes: int) -> None:
        draw = np.random.default_rng(0)
        pixels = draw.integers(0, 256, (_N_IMAGES, side, side, 3), dtype=np.uint8)
        super().__init__(list(pixels), image_digests(pixels))
        self._classes = draw.integers(0, n_classes, _N_IMAGES)

    @property
    def labels(self) -> IntArray:
        """Random classes, shape (N,)."""
        return self._classes


def costs(recipe: RestorerRecipe, *, n_steps: int, batch: int | None = None) -> Iterator[Cost]:
    """What each kind of step of a recipe costs.

    Args:
        recipe: Of a restorer.
        n_steps: Steps that are timed; two more come before.
        batch: Images per step in place of the recipe's, where that does not fit into memory.

    Raises:
        InputError: the recipe's options do not fit together.
    """
    kind = method(recipe.method)
    network = kind.network_options(recipe.network)
    objective = kind.objective_options(recipe.objective, recipe.training)
    before = kind.steps_before(network, objective)
    if before:
        yield _cost(recipe, "autoencoder", before, n_steps, batch)
        short = {**recipe.objective, "autoencoder_steps": 1}
        recipe = recipe.model_copy(update={"objective": short})
    yield _cost(recipe, "restorer", recipe.training.steps, n_steps, batch)


def _cost(recipe: RestorerRecipe, part: str, steps: int, n_steps: int, batch: int | None) -> Cost:
    schedule = recipe.training.model_copy(
        update={"batch_size": batch or recipe.training.batch_size}
    )
    classifier = _classifier(recipe)
    training = _training(recipe, classifier)
    side = schedule.crop_px or _side(recipe)
    images = _Random(side, 2 if classifier is None else len(classifier.class_names))
    other = _Random(side, 2) if method(recipe.method).unlabelled else None
    batches = Batches(
        images,
        Degradation(recipe.corruptions, clean_share=schedule.clean_share),
        schedule,
        seed=recipe.seed,
        unlabelled=other,
        unlabelled_degradation=Degradation(recipe.unlabelled) if recipe.unlabelled else None,
    )
    number = iter(range(n_steps + 3))

    def step() -> None:
        training.step(batches.step(next(number)))

    # The first one allocates most, and is not timed; of a latent chain it may be the autoencoder's.
    peak = peak_mib(step, torch.device("cpu"))
    step()
    seconds = _seconds(step, n_steps)
    state = training.export().state().values()
    return Cost(
        part=part,
        parameters=sum(tensor.numel() for tensor in state),
        weights_mb=sum(tensor.numel() * tensor.element_size() for tensor in state) / 1e6,
        seconds=seconds,
        peak_mib=peak,
        steps=steps,
        batch_size=schedule.batch_size,
        wanted=recipe.training.batch_size,
    )


def _seconds(step: Callable[[], None], n_steps: int) -> float:
    start = time.process_time()
    for _ in range(n_steps):
        step()
    return (time.process_time() - start) / n_steps


def _side(recipe: RestorerRecipe) -> int:
    size = None if recipe.data is None else recipe.data.image_size
    return SMALL_PX if size is None else size[0]


def _classifier(recipe: RestorerRecipe) -> Classifier | None:
    if recipe.classifier is None:
        return None
    if recipe.classifier.record is not None:
        return classifier_of_record(shipped("models", recipe.classifier.record)).build(device="cpu")
    options = dict(recipe.classifier.options)
    return ClassifierSpec(kind=recipe.classifier.kind, options=options).build(device="cpu")


def _training(recipe: RestorerRecipe, classifier: Classifier | None) -> RestorerTraining:
    kind = method(recipe.method)
    return kind.build(
        kind.network_options(recipe.network),
        kind.objective_options(recipe.objective, recipe.training),
        Frozen(
            recognise=getattr(classifier, "logits_with_gradient", None),
            features=getattr(classifier, "features_with_gradient", None),
            seed=recipe.seed,
            device="cpu",
        ),
    )


def said(name: str, cost: Cost) -> str:
    """One line for people."""
    memory = "" if cost.peak_mib is None else f", {cost.peak_mib:,.0f} MiB"
    return (
        f"{name:<28}{cost.part:<12}{cost.parameters / 1e6:>7.2f} M {cost.weights_mb:>7.1f} MB  "
        f"{1e3 * cost.seconds:>9,.0f} ms per step of {cost.batch_size}{memory}; "
        f"{cost.steps:,} steps of {cost.wanted}: {cost.minutes:,.0f} min of one core"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.restoration_recipes", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("recipes", type=Path, nargs="*", help="all of models/*.toml by default")
    parser.add_argument("--steps", type=int, default=3, help="that are timed")
    parser.add_argument("--batch", type=int, default=None, help="images per step, to save memory")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    for path in arguments.recipes or sorted((ROOT / "models").glob("*.toml")):
        recipe: Any = load_training_recipe(path)
        if not isinstance(recipe, RestorerRecipe):
            raise InputError(f"expected recipes of restorers, got that of a {recipe.kind}: {path}")
        for cost in costs(recipe, n_steps=arguments.steps, batch=arguments.batch):
            print(said(recipe.id, cost), flush=True)


if __name__ == "__main__":
    main()
