"""Recipe → trained models: the demo's small classifier and the autoencoder restorer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gatekeeper.bundle import ClassifierSpec
from gatekeeper.classifiers import save_safetensors, small_resnet
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.corruptions.randomness import uniform
from gatekeeper.errors import RecipeError
from gatekeeper.images import Dataset, Splits
from gatekeeper.protocols import Classifier
from gatekeeper.recipe import ClassifierTraining, Recipe
from gatekeeper.restorers import AutoencoderRestorer
from gatekeeper.restorers.autoencoder import AutoencoderTraining, train_autoencoder
from gatekeeper.types import IntArray

OnStep = Callable[[int, float], None]
"""(steps done, loss)"""

_CLEAN_IN_TRAINING = 0.1
_CONSTANT_CHANNEL = 1e-3


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Mean and standard deviation per channel of a set of images, in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def channel_statistics(data: Dataset, positions: IntArray) -> ChannelStatistics:
    """Statistics of some images, for a classifier's normalisation."""
    images = data.batch(positions).double()
    mean = images.mean(dim=(0, 2, 3))
    std = images.std(dim=(0, 2, 3)).clamp_min(_CONSTANT_CHANNEL)
    return ChannelStatistics(
        (float(mean[0]), float(mean[1]), float(mean[2])),
        (float(std[0]), float(std[1]), float(std[2])),
    )


def classifier_steps(options: ClassifierTraining, n_images: int) -> int:
    """How many optimiser steps the training takes."""
    return _epochs(options, n_images) * _batches(options, n_images)


def _batches(options: ClassifierTraining, n_images: int) -> int:
    return max(1, n_images // options.batch_size)


def _epochs(options: ClassifierTraining, n_images: int) -> int:
    return max(options.epochs, math.ceil(options.min_steps / _batches(options, n_images)))


def train_small_classifier(
    data: Dataset,
    splits: Splits,
    options: ClassifierTraining,
    *,
    weights: Path,
    seed: int,
    on_step: OnStep = lambda step, loss: None,
) -> ClassifierSpec:
    """Train the narrow ResNet on *train* with flips and crops only.

    Args:
        data: The data set.
        splits: Only *train* is read.
        options: Schedule.
        weights: Where to write the weights (``.safetensors``).
        seed: Of initial weights, order, flips and crops.
        on_step: Told the number of steps done and the loss.

    Returns:
        How to build the frozen classifier from these weights.
    """
    statistics = channel_statistics(data, splits.train)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (statistics.mean, statistics.std))
    n_steps = classifier_steps(options, len(splits.train))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    done = 0
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = small_resnet(len(data.class_names)).to(
            device=device, memory_format=torch.channels_last
        )  # type: ignore[call-overload]
        optimiser = torch.optim.SGD(
            network.parameters(), options.learning_rate, 0.9, weight_decay=5e-4, nesterov=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, options.learning_rate, total_steps=n_steps + 1, pct_start=0.25
        )
        for _ in range(_epochs(options, len(splits.train))):
            order = torch.randperm(len(splits.train)).numpy()
            for batch in np.array_split(order, _batches(options, len(splits.train))):
                rows = splits.train[batch]
                images = flipped_and_cropped(data.batch(rows), options.crop_padding_px)
                inputs = ((images - mean) / std).to(device, memory_format=torch.channels_last)
                truth = torch.from_numpy(data.labels[rows]).to(device)
                loss = F.cross_entropy(network(inputs), truth)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                done += 1
                on_step(done, loss.item())
    save_safetensors(network.state_dict(), weights)
    return ClassifierSpec(
        kind="timm",
        options={
            "name": "gatekeeper_small_resnet",
            "checkpoint": str(weights),
            "class_names": list(data.class_names),
            "model_id": f"small-resnet-{data.name}",
            "kwargs": {
                "size": list(data.image_size),
                "mean": list(statistics.mean),
                "std": list(statistics.std),
            },
        },
    )


def flipped_and_cropped(images: Tensor, padding: int) -> Tensor:
    """Random horizontal flips and random crops of the zero-padded images; shape unchanged.

    Draws from torch's current generator, one flip and one offset per image.
    """
    batch, _, height, width = images.shape
    flip = torch.rand(batch) < 0.5
    offset = torch.randint(0, 2 * padding + 1, (2, batch, 1))
    columns = torch.arange(width)[None].repeat(batch, 1)
    columns = torch.where(flip[:, None], width - 1 - columns, columns) + offset[0]
    rows = torch.arange(height)[None] + offset[1]
    padded = F.pad(images, (padding,) * 4)
    index = torch.arange(batch)[:, None, None]
    picked = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


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
        options=AutoencoderTraining(
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
