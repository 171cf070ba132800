"""A second opinion: a small network of the gate's own that names the class under corruptions.

The frozen classifier says little about an image that it cannot see any more. A small network that
was trained on degraded *train* images still recognises much of what they show; where it disagrees,
the classifier's answer is likely wrong. Its log-probabilities are probes of the predictor. It never
answers in the classifier's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatekeeper.bundle import ClassifierSpec
from gatekeeper.evidence import Plan, degrade, draw_wide_plan
from gatekeeper.images import Dataset, Splits, fit_to
from gatekeeper.recipe import SecondOpinionRecipe
from gatekeeper.training.classifier import OnStep, classifier_steps, train_classifier
from gatekeeper.types import IntArray

_COMPOSED_SHARE = 0.25
_CHUNK = 512


def second_opinion_steps(options: SecondOpinionRecipe, n_train: int) -> int:
    """How many optimiser steps the training takes.

    Args:
        options: Of the second opinion.
        n_train: Images of *train*.
    """
    return classifier_steps(options.training, n_train * options.looks_per_image)


def train_second_opinion(
    data: Dataset,
    splits: Splits,
    options: SecondOpinionRecipe,
    *,
    corruptions: Sequence[str],
    weights: Path,
    seed: int,
    checkpoint: Path | None = None,
    on_step: OnStep = lambda step, loss: None,
) -> ClassifierSpec:
    """Train it on *train* under corruptions drawn at continuous severities.

    Every image is kept once clean and ``looks_per_image`` − 1 times degraded; a quarter of the
    degraded looks are compositions of two corruptions. Nothing is selected: *validation* is not
    read.

    Args:
        data: The data set.
        splits: Its six splits; *train* alone is read.
        options: Network and schedule.
        corruptions: What may be fitted on; a held-out one must not be among them.
        weights: Where to write the weights (``.safetensors``).
        seed: Of conditions, initial weights and order.
        checkpoint: Where the state after each epoch is kept; a training that was cut short goes on
            from there. None keeps none.
        on_step: Told the number of steps done and the loss.

    Returns:
        How to build it: a classifier of the data's classes.

    Raises:
        InputError: the checkpoint is of another training.
    """
    looks = degraded_looks(data, splits.train, options, corruptions=corruptions, seed=seed)
    every: IntArray = np.arange(len(looks))
    return train_classifier(
        looks,
        # Nothing but train is read; the other splits must not say that there were any.
        replace(splits, **dict.fromkeys(_UNREAD, every[:0]), train=every),
        options.training,
        weights=weights,
        seed=seed,
        kwargs={"widths": list(options.widths), "layers": [options.depth] * 4},
        model_id=f"second-opinion-{data.name}",
        checkpoint=checkpoint,
        on_step=on_step,
    )


_UNREAD = ("validation", "fit", "calibrate", "certify", "test")


def degraded_looks(
    data: Dataset,
    positions: IntArray,
    options: SecondOpinionRecipe,
    *,
    corruptions: Sequence[str],
    seed: int,
) -> Dataset:
    """Images under drawn conditions, brought to the size at which the second opinion looks.

    Args:
        data: The data set.
        positions: Its images, n of them.
        options: Of the second opinion.
        corruptions: What conditions are drawn from.
        seed: Of the conditions.

    Returns:
        n · ``looks_per_image`` images, the clean ones first.
    """
    plan = draw_wide_plan(
        data,
        "train",
        positions,
        corruptions=corruptions,
        looks_per_image=options.looks_per_image,
        composed_share=_COMPOSED_SHARE,
        seed=seed,
        purpose="second-opinion",
    )
    return replace(
        data,
        images=_pixels(data, plan, looking_size(data.image_size, options.largest_side_px)),
        labels=data.labels[plan.positions],
        test_index=np.zeros(0, dtype=np.int64),
    )


def looking_size(image_size: tuple[int, int], largest_side_px: int) -> tuple[int, int]:
    """Height and width at which the second opinion looks: as they are, or less.

    Args:
        image_size: Height and width of the images.
        largest_side_px: Longest side that it looks at.
    """
    share = min(1.0, largest_side_px / max(image_size))
    height, width = (max(1, round(side * share)) for side in image_size)
    return height, width


def _pixels(data: Dataset, plan: Plan, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    # As bytes and at the small size: all looks lie in memory at once.
    pixels = np.empty((len(plan), *size, 3), dtype=np.uint8)
    for start in range(0, len(plan), _CHUNK):
        part = plan.take(np.arange(start, min(start + _CHUNK, len(plan))))
        images = fit_to(degrade(data.batch(part.positions), part), size)
        pixels[start : start + len(part)] = images.mul(255).round().byte().permute(0, 2, 3, 1)
    return pixels
