"""Recipe → trained classifier: one-cycle SGD on clean images, resumable after every epoch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatekeeper.bundle import ClassifierSpec
from gatekeeper.classifiers import (
    Preprocessing,
    load_safetensors,
    save_safetensors,
    untrained_network,
)
from gatekeeper.errors import InputError
from gatekeeper.images import Dataset, Splits
from gatekeeper.recipe import ClassifierTraining
from gatekeeper.types import IntArray

OnStep = Callable[[int, float], None]
"""(steps done, loss)"""
OnEpoch = Callable[[int, float], None]
"""(epochs done, accuracy on *validation*, in [0, 1])"""

SMALL_RESNET = "gatekeeper_small_resnet"

_CONSTANT_CHANNEL = 1e-3
_EVALUATION_BATCH = 500
_MOMENTUM = 0.9


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
    epochs = _epochs(options, n_images) + options.restart_epochs
    return epochs * _batches(options, n_images)


def _batches(options: ClassifierTraining, n_images: int) -> int:
    return max(1, n_images // options.batch_size)


def _epochs(options: ClassifierTraining, n_images: int) -> int:
    return max(options.epochs, math.ceil(options.min_steps / _batches(options, n_images)))


def train_classifier(
    data: Dataset,
    splits: Splits,
    options: ClassifierTraining,
    *,
    weights: Path,
    seed: int,
    architecture: str = SMALL_RESNET,
    kwargs: Mapping[str, Any] | None = None,
    size: Sequence[int] | None = None,
    model_id: str | None = None,
    checkpoint: Path | None = None,
    on_step: OnStep = lambda step, loss: None,
    on_epoch: OnEpoch | None = None,
) -> ClassifierSpec:
    """Train a timm network on *train* with flips and crops only.

    The weights of the last epoch are taken: the learning rate has fallen to nothing by then, and
    nothing is selected.

    Args:
        data: The data set.
        splits: *train* is learned from; *validation* is only looked at for ``on_epoch``.
        options: Schedule.
        weights: Where to write the weights (``.safetensors``).
        seed: Of initial weights, order, flips and crops.
        architecture: A timm architecture, or the narrow ResNet for small images.
        kwargs: Options of the architecture.
        size: Height and width of the network's input; the images' own by default.
        model_id: Name under which the classifier is known; made of architecture and data.
        checkpoint: Where the state after each epoch is kept (``.safetensors``); a training that
            was cut short goes on from there. None keeps none.
        on_step: Told the number of steps done and the loss; once after a resumption.
        on_epoch: Told the number of epochs done and the accuracy on *validation*.

    Returns:
        How to build the frozen classifier from these weights.

    Raises:
        InputError: the checkpoint is of another training.
    """
    statistics = channel_statistics(data, splits.train)
    preprocessing = Preprocessing.from_json(
        {"size": list(size or data.image_size), "mean": statistics.mean, "std": statistics.std}
    )
    run = _Training(
        data, splits, options, preprocessing, architecture=architecture, kwargs=kwargs or {},
        seed=seed,
    )  # fmt: skip
    done = run.resume(checkpoint) if checkpoint is not None and checkpoint.is_file() else 0
    if done:
        on_step(run.steps_done, math.nan)
    for epoch in range(done, run.n_epochs):
        run.epoch(epoch, on_step)
        if checkpoint is not None:
            run.save(checkpoint, epoch + 1)
        if on_epoch is not None:
            on_epoch(epoch + 1, run.validation_accuracy())
    save_safetensors(run.network.state_dict(), weights)
    return ClassifierSpec(
        kind="timm",
        options={
            "name": architecture,
            "checkpoint": str(weights),
            "class_names": list(data.class_names),
            "model_id": model_id or f"{_short(architecture)}-{data.name}",
            "kwargs": {
                **(kwargs or {}),
                "size": list(preprocessing.size),
                "mean": list(preprocessing.mean),
                "std": list(preprocessing.std),
            },
        },
    )


def _short(architecture: str) -> str:
    return architecture.removeprefix("gatekeeper_").replace("_", "-")


class _Training:
    """Network, optimiser and schedule, with their state as plain tensors."""

    def __init__(
        self,
        data: Dataset,
        splits: Splits,
        options: ClassifierTraining,
        preprocessing: Preprocessing,
        *,
        architecture: str,
        kwargs: Mapping[str, Any],
        seed: int,
    ) -> None:
        self.data, self.splits, self.options = data, splits, options
        self.preprocessing, self.seed = preprocessing, seed
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.n_first = _epochs(options, len(splits.train))
        self.n_epochs = self.n_first + options.restart_epochs
        self.n_batches = _batches(options, len(splits.train))
        self.steps_done = 0
        facts = {
            "architecture": architecture,
            "kwargs": dict(kwargs),
            # Without the second cycle: one that is added later goes on from the first.
            "options": options.model_dump(exclude={"restart_epochs", "restart_learning_rate"}),
            "preprocessing": preprocessing.to_json(),
            "seed": seed,
            "train": splits.digest_of("train", data.digests),
        }
        self.identity = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
        network: nn.Module = untrained_network(
            architecture, len(data.class_names), kwargs, seed=seed
        )
        self.network = network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.SGD(
            self.network.parameters(),
            options.learning_rate,
            _MOMENTUM,
            weight_decay=options.weight_decay,
            nesterov=True,
        )
        self.schedule = self._cycle(0)

    def _cycle(self, steps_done: int) -> torch.optim.lr_scheduler.OneCycleLR:
        """The schedule of the first cycle, or of the second once the first is over."""
        first = steps_done < self.n_first * self.n_batches or not self.options.restart_epochs
        n_epochs = self.n_first if first else self.options.restart_epochs
        peak = self.options.learning_rate if first else self.options.restart_learning_rate
        for group in self.optimiser.param_groups:
            group.pop("initial_lr", None)
        return torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, peak, total_steps=n_epochs * self.n_batches + 1, pct_start=0.25
        )

    def epoch(self, number: int, on_step: OnStep) -> None:
        """One pass over *train*; its randomness comes from the seed and its number alone."""
        train = self.splits.train
        if number == self.n_first:
            self.schedule = self._cycle(self.steps_done)
        self.network.train()
        with torch.random.fork_rng():
            torch.manual_seed(self.seed + 1_000_003 * (number + 1))
            order = torch.randperm(len(train)).numpy()
            for batch in np.array_split(order, self.n_batches):
                rows = train[batch]
                images = self._augmented(self.data.batch(rows), number)
                loss = self._loss(images, torch.from_numpy(self.data.labels[rows]))
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimiser.step()
                self.schedule.step()
                self.steps_done += 1
                on_step(self.steps_done, loss.item())

    def _augmented(self, images: Tensor, epoch: int) -> Tensor:
        if epoch < self.options.small_epochs:
            return flipped_and_cropped(images, 0, side=self.options.small_crop_px)
        return flipped_and_cropped(images, self.options.crop_padding_px)

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bf16):
            logits = self._logits(images)
        return F.cross_entropy(logits.float(), labels.to(self.device))

    def _logits(self, images: Tensor) -> Tensor:
        inputs = self._preprocessing(images).apply(images.to(self.device))
        logits: Tensor = self.network(inputs.contiguous(memory_format=torch.channels_last))
        return logits

    def _preprocessing(self, images: Tensor) -> Preprocessing:
        """The classifier's own; small crops keep their scale, so the input shrinks with them."""
        whole, side = self.data.image_size, images.shape[2]
        if side == whole[0]:
            return self.preprocessing
        height, width = self.preprocessing.size
        size = (round(height * side / whole[0]), round(width * side / whole[1]))
        return replace(self.preprocessing, size=size)

    def validation_accuracy(self) -> float:
        """Share of right answers on *validation*, in [0, 1]."""
        self.network.eval()
        right = 0
        with torch.inference_mode():
            for start in range(0, len(self.splits.validation), _EVALUATION_BATCH):
                rows = self.splits.validation[start : start + _EVALUATION_BATCH]
                answers = self._logits(self.data.batch(rows)).argmax(dim=1).cpu().numpy()
                right += int((answers == self.data.labels[rows]).sum())
        return right / len(self.splits.validation)

    def save(self, path: Path, epochs_done: int) -> None:
        """Keep everything that the next epoch starts from."""
        state = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        for position, parameter in enumerate(self.network.parameters()):
            state[f"momentum.{position}"] = self.optimiser.state[parameter]["momentum_buffer"]
        state["identity"] = torch.frombuffer(bytearray(self.identity), dtype=torch.uint8)
        state["epochs_done"] = torch.tensor(epochs_done)
        save_safetensors(state, path)

    def resume(self, path: Path) -> int:
        """Take over a kept state; returns the number of epochs done.

        Raises:
            InputError: the state is of another training.
        """
        state = load_safetensors(path)
        if bytes(state["identity"].tolist()) != self.identity:
            raise InputError(
                f"expected in {path} the checkpoint of this very training, got that of one with "
                "other data, seed, network or schedule: remove it, or name another folder"
            )
        prefix = "network."
        self.network.load_state_dict(
            {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
        )
        for position, parameter in enumerate(self.network.parameters()):
            kept = state[f"momentum.{position}"].to(self.device)
            self.optimiser.state[parameter]["momentum_buffer"] = kept
        epochs_done = int(state["epochs_done"])
        self.steps_done = epochs_done * self.n_batches
        self.schedule = self._cycle(self.steps_done)
        before = self.n_first * self.n_batches if epochs_done >= self.n_first else 0
        within = self.steps_done - (before if self.options.restart_epochs else 0)
        if not within:
            return epochs_done
        self.schedule.last_epoch = within - 1
        self.optimiser.step()  # no gradients yet: nothing moves; the schedule wants it first
        self.schedule.step()
        return epochs_done


def flipped_and_cropped(images: Tensor, padding: int, *, side: int | None = None) -> Tensor:
    """Random horizontal flips and random crops of the zero-padded images.

    Draws from torch's current generator, one flip and one offset per image.

    Args:
        images: Shape (B, 3, H, W).
        padding: Zeros around each image, in pixels.
        side: Height and width of the crops, in pixels; the images' own by default.

    Returns:
        Shape (B, 3, side, side), or that of ``images``.

    Raises:
        InputError: the crops would be larger than the padded images.
    """
    batch, _, height, width = images.shape
    crop_height, crop_width = side or height, side or width
    room = (height + 2 * padding - crop_height, width + 2 * padding - crop_width)
    if min(room) < 0:
        raise InputError(
            f"expected crops no larger than the images, got {crop_height}×{crop_width} of "
            f"{height}×{width} with {padding} px around: set small_crop_px lower"
        )
    flip = torch.rand(batch) < 0.5
    if room[0] == room[1]:
        offset = torch.randint(0, room[0] + 1, (2, batch, 1))
    else:
        offset = torch.stack([torch.randint(0, span + 1, (batch, 1)) for span in reversed(room)])
    columns = torch.arange(crop_width)[None].repeat(batch, 1)
    columns = torch.where(flip[:, None], crop_width - 1 - columns, columns) + offset[0]
    rows = torch.arange(crop_height)[None] + offset[1]
    padded = F.pad(images, (padding,) * 4)
    index = torch.arange(batch)[:, None, None]
    picked = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)
