"""From a recipe to a fitted gate and its attempts at the *test* images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gatekeeper.bundle import ClassifierSpec, SecondOpinion
from gatekeeper.errors import RecipeError
from gatekeeper.evaluation import (
    Streams,
    judge_streams,
)
from gatekeeper.evidence import TableBuilder
from gatekeeper.fitting import FitResult, Fitter
from gatekeeper.images import Dataset, Splits, load_dataset, make_splits
from gatekeeper.paths import shipped
from gatekeeper.progress import Progress, Silent
from gatekeeper.protocols import Classifier
from gatekeeper.recipe import Recipe
from gatekeeper.training import (
    classifier_of_record,
    classifier_steps,
    restorers_of,
    second_opinion_steps,
    train_classifier,
    train_second_opinion,
)

_TEST_SHARE = 0.2  # where a data set has no official test part

Announce = Callable[[str], None]


@dataclass(slots=True)
class Stopwatch:
    """Seconds per stage, in the order in which the stages ran."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A finished run, before anything is written.

    Attributes:
        recipe: What was asked for.
        data: The data set.
        splits: Its splits.
        result: The fitted gate and the attempts that certified it.
        streams: Attempts at the *test* images.
        stopwatch: Seconds per stage.
    """

    recipe: Recipe
    data: Dataset
    splits: Splits
    result: FitResult
    streams: Streams
    stopwatch: Stopwatch


def run(
    recipe: Recipe,
    *,
    out: Path,
    data_dir: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    announce: Announce = lambda line: None,
) -> Run:
    """Everything up to the figures.

    Args:
        recipe: What to fit.
        out: Where a classifier trained on the way is kept; made where it is missing.
        data_dir: Where to look for the data first.
        cache: Folder for evidence cells; None keeps none.
        progress: Told of every stage.
        announce: Told in one line where the data come from.

    Raises:
        DataError: the data are missing or too few.
        RecipeError: classifier and data do not fit together.
    """
    watch, bars = Stopwatch(), progress or Silent()
    # First of all: a folder that cannot be written is better known before the work than after it.
    out.mkdir(parents=True, exist_ok=True)
    with watch.stage("data"):
        data = load_dataset(
            recipe.data.dataset,
            data_dir=data_dir,
            image_size=recipe.data.image_size,
            announce=announce,
        )
        splits = splits_of(recipe, data)
    with watch.stage("classifier"):
        spec, classifier = classifier_of(recipe, data, splits, out, bars)
    with watch.stage("restorers"):
        restorers = restorers_of(recipe, data, splits, classifier, bars)
    second = None
    if recipe.predictor.second_opinion is not None:
        with watch.stage("second opinion"):
            second = second_opinion_of(recipe, data, splits, out, bars)
    builder = TableBuilder(
        data,
        classifier,
        restorers,
        cache=cache,
        progress=bars,
        views=recipe.predictor.views,
        second_opinion=None if second is None else second.classifier,
    )
    with watch.stage("fit and certify"):
        fitter = Fitter(
            data,
            splits,
            spec,
            classifier,
            restorers,
            recipe,
            builder=builder,
            second_opinion=second,
        )
        result = fitter.run()
    with watch.stage("judge"):
        streams = judge_streams(
            result.fitted,
            data,
            splits,
            recipe.conditions,
            builder=builder,
            doubt_below=recipe.policy.doubt_below,
            seed=recipe.seed,
        )
    return Run(
        recipe=recipe, data=data, splits=splits, result=result, streams=streams, stopwatch=watch
    )


def splits_of(recipe: Recipe, data: Dataset) -> Splits:
    """The splits that a recipe asks for, with its seed.

    Raises:
        DataError: the data have too few images for them.
        InputError: a split would be empty.
    """
    return make_splits(
        data.labels,
        data.digests,
        test_index=data.test_index,
        sizes=split_sizes(recipe, data),
        seed=recipe.seed,
    )


def split_sizes(recipe: Recipe, data: Dataset) -> Mapping[str, int | float]:
    """Images per split; shares become counts, rounded down so that they cannot ask for too many."""
    sizes = recipe.data.splits.given()
    if not len(data.test_index) and "test" not in sizes:
        rest = sum(size for size in sizes.values() if isinstance(size, float))
        shrunk = min(1.0, (1.0 - _TEST_SHARE) / rest) if rest else 1.0
        sizes = {n: s * shrunk if isinstance(s, float) else s for n, s in sizes.items()}
        sizes["test"] = _TEST_SHARE
    official = np.unique(data.digests[data.test_index])
    n_pool = len(np.setdiff1d(data.digests, official))
    # The small addend keeps a share that means a whole number from losing one to float error.
    return {
        name: size
        if isinstance(size, int)
        else int(size * (len(official) if name == "test" and len(official) else n_pool) + 1e-9)
        for name, size in sizes.items()
    }


def classifier_of(
    recipe: Recipe, data: Dataset, splits: Splits, out: Path, progress: Progress
) -> tuple[ClassifierSpec, Classifier]:
    """The recipe's classifier: of a record, trained on *train*, or rebuilt from its options.

    Args:
        recipe: What to gate.
        data: The data set.
        splits: Its splits.
        out: Folder for the weights of a classifier that is trained.
        progress: Told of the training's steps.

    Raises:
        RecipeError: it knows another number of classes than the data have.
    """
    training, record = recipe.classifier.training, recipe.classifier.record
    if record is not None:
        spec = classifier_of_record(shipped("models", record))
    elif training is not None:
        progress.start("train: classifier", classifier_steps(training, len(splits.train)))
        spec = train_classifier(
            data,
            splits,
            training,
            weights=out / "classifier.safetensors",
            seed=recipe.seed,
            on_step=lambda step, loss: progress.advance(1),
        )
    else:
        options = {"class_names": list(data.class_names), **recipe.classifier.options}
        spec = ClassifierSpec(kind=recipe.classifier.kind, options=options)
    classifier = spec.build()
    if len(classifier.class_names) != len(data.class_names):
        raise RecipeError(
            f"expected a classifier of the {len(data.class_names)} classes of {data.name}, got "
            f"{len(classifier.class_names)}: check class_names and the data"
        )
    return spec, classifier


def second_opinion_of(
    recipe: Recipe, data: Dataset, splits: Splits, out: Path, progress: Progress
) -> SecondOpinion | None:
    """The second opinion, trained on *train* under the seen corruptions, where the recipe asks.

    Args:
        recipe: What to gate.
        data: The data set.
        splits: Its splits.
        out: Folder for its weights.
        progress: Told of the training's steps.
    """
    options = recipe.predictor.second_opinion
    if options is None:
        return None
    progress.start("train: second opinion", second_opinion_steps(options, len(splits.train)))
    spec = train_second_opinion(
        data,
        splits,
        options,
        corruptions=recipe.conditions.seen,
        weights=out / "second-opinion.safetensors",
        seed=recipe.seed,
        on_step=lambda step, loss: progress.advance(1),
    )
    return SecondOpinion(spec=spec, classifier=spec.build())
