"""Training of the skip autoencoder: pairs of degraded and clean images, optionally recognition.

The step takes images and their degraded copies; it knows no corruption by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatekeeper.errors import InputError, TrainingError
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.autoencoder.network import (
    AutoencoderConfig,
    SkipAutoencoder,
    forward_any_size,
)
from gatekeeper.restorers.autoencoder.restorer import AutoencoderRestorer
from gatekeeper.types import IntArray

Degrade = Callable[[Tensor, IntArray], Tensor]
"""(images, seeds) -> degraded images, strength and kind drawn from the seeds."""

Recognise = Callable[[Tensor], Tensor]
"""(images) -> logits of the frozen classifier, differentiable in the images."""

_NETWORK, _ADAM, _STEPS = "network.", "adam.", "steps_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderOptions:
    """Schedule and objective of the training.

    Attributes:
        steps: Optimiser steps.
        batch_size: Images per step.
        learning_rate: Peak of the one-cycle schedule of Adam (paper: constant 1e-3).
        recognition_weight: Weight of the frozen classifier's cross-entropy on restored images
            beside the mean squared error; 0 is the paper's loss.
    """

    steps: int = 1000
    batch_size: int = 64
    learning_rate: float = 2e-3
    recognition_weight: float = 0.02


class AutoencoderTraining:
    """A skip autoencoder in training; obeys :class:`gatekeeper.protocols.RestorerTraining`.

    Args:
        config: Widths; the default is the small variant divided by four.
        options: Schedule and objective.
        recognise: The frozen classifier; None leaves the recognition term out.
        seed: Of the initial weights.
        device: Where to train.

    Source:
        CNN autoencoder denoising before classification (arXiv:2404.10664): mean squared error on
        [0, 1], Adam. Deviates in the recognition term, after URIE (arXiv:2007.08979): the frozen
        classifier's own loss on the restored image; and in a one-cycle schedule.
    """

    def __init__(
        self,
        config: AutoencoderConfig | None = None,
        options: AutoencoderOptions | None = None,
        *,
        recognise: Recognise | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.options = options or AutoencoderOptions()
        self.device = torch.device(device)
        self.steps_done = 0
        self._recognise = recognise
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = SkipAutoencoder(config)
        self.network: SkipAutoencoder = network.to(
            device=self.device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]
        )
        self._optimiser = torch.optim.Adam(self.network.parameters(), self.options.learning_rate)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser,
            self.options.learning_rate,
            total_steps=self.options.steps + 1,
            pct_start=0.15,
        )

    def step(self, batch: TrainingBatch) -> float:
        """One optimiser step; returns its loss.

        Raises:
            InputError: the batch has a mask, or no labels though recognition is asked for.
            TrainingError: the loss is not finite; the weights stay as they were.
        """
        if batch.mask is not None:
            raise InputError("the autoencoder fills no holes: leave out the mask")
        if self._recognise is not None and batch.labels is None:
            raise InputError(
                "the recognition term needs the true class of each image, got none: train on "
                "labelled images, or leave out the classifier"
            )
        self.network.train()
        with torch.random.fork_rng(), self._autocast():
            # Dropout draws from torch's own generator; after a resumption as without one.
            torch.manual_seed(int(batch.seeds[0]) & 0x7FFFFFFFFFFFFFFF)
            loss = restoration_loss(
                self.network,
                batch.clean.to(self.device),
                batch.degraded.to(self.device),
                recognise=self._recognise,
                labels=None
                if batch.labels is None
                else torch.from_numpy(batch.labels).to(self.device),
                recognition_weight=self.options.recognition_weight,
            )
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"expected a finite loss, got {value} in step {self.steps_done + 1}: lower the "
                "learning rate"
            )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._schedule.step()
        self.steps_done += 1
        return value

    def _autocast(self) -> torch.autocast:
        enabled = self.device.type == "cuda"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def state(self) -> dict[str, Tensor]:
        """Network, moments of Adam and the number of steps done."""
        state = {f"{_NETWORK}{name}": t for name, t in self.network.state_dict().items()}
        for position, parameter in enumerate(self.network.parameters()):
            for name, value in self._optimiser.state.get(parameter, {}).items():
                state[f"{_ADAM}{position}.{name}"] = value
        state[_STEPS] = torch.tensor(self.steps_done)
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a kept state, to the last bit as if there had been no pause.

        Raises:
            InputError: the state is that of another network.
        """
        try:
            self.network.load_state_dict(
                {n.removeprefix(_NETWORK): t for n, t in state.items() if n.startswith(_NETWORK)}
            )
            self.steps_done = int(state[_STEPS])
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"expected the state of this training, got that of another network ({error}): "
                "start anew"
            ) from error
        self._optimiser.state.clear()
        for position, parameter in enumerate(self.network.parameters()):
            prefix = f"{_ADAM}{position}."
            kept = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
            self._optimiser.state[parameter] = {
                name: t.clone() if name == "step" else t.to(parameter.device, copy=True)
                for name, t in kept.items()
            }
        if self.steps_done:
            self._optimiser.zero_grad(set_to_none=True)
            self._optimiser.step()  # no gradients: nothing moves; the schedule wants it first
            self._schedule.last_epoch = self.steps_done - 1
            self._schedule.step()

    def export(self) -> AutoencoderRestorer:
        """The frozen restorer, a copy: training may go on."""
        network = SkipAutoencoder(self.network.config)
        network.load_state_dict(self.network.state_dict())
        return AutoencoderRestorer(network, device=str(self.device))


def train_autoencoder(
    images: Callable[[IntArray], Tensor],
    labels: IntArray,
    *,
    degrade: Degrade,
    recognise: Recognise | None,
    options: AutoencoderOptions,
    config: AutoencoderConfig | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> SkipAutoencoder:
    """Train on clean images and their degraded copies, from the first step to the last.

    Args:
        images: Positions (B,) -> clean images (B, 3, H, W); positions run over the labels.
        labels: True class of each training image, shape (N,).
        degrade: Makes the degraded copy; may leave some images clean, which teaches identity.
        recognise: The frozen classifier; None leaves the recognition term out.
        options: Schedule and objective.
        config: Widths; the default is the small variant divided by four.
        seed: Of initial weights, order and degradations.
        device: Where to train.
        on_step: Told the number of steps done and the loss.

    Raises:
        TrainingError: the loss is not finite.
    """
    rng = np.random.default_rng(seed)
    training = AutoencoderTraining(config, options, recognise=recognise, seed=seed, device=device)
    for step in range(options.steps):
        rows = rng.integers(0, len(labels), options.batch_size)
        clean = images(rows)
        seeds = rng.integers(0, 2**62, options.batch_size)
        degraded = degrade(clean, seeds)
        loss = training.step(
            TrainingBatch(clean=clean, degraded=degraded, labels=labels[rows], seeds=seeds)
        )
        on_step(step + 1, loss)
    return training.network.eval()


def restoration_loss(
    network: nn.Module,
    clean: Tensor,
    degraded: Tensor,
    *,
    recognise: Recognise | None = None,
    labels: Tensor | None = None,
    recognition_weight: float = 0.0,
) -> Tensor:
    """Mean squared error plus, where a classifier is given, its weighted cross-entropy; a scalar.

    Args:
        network: The restorer under training.
        clean: Shape (B, 3, H, W).
        degraded: The same images, degraded.
        recognise: The frozen classifier, or None.
        labels: True classes, shape (B,); needed with ``recognise``.
        recognition_weight: Weight of the cross-entropy.
    """
    inputs = degraded.contiguous(memory_format=torch.channels_last)
    restored = forward_any_size(network, inputs)
    loss = F.mse_loss(restored, clean)
    if recognise is not None and labels is not None and recognition_weight > 0:
        loss = loss + recognition_weight * F.cross_entropy(recognise(restored), labels)
    return loss
