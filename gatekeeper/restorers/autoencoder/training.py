"""Training of the skip autoencoder: pairs of degraded and clean images, optionally recognition.

The step takes images and a degradation as arguments; it knows no corruption by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatekeeper.restorers.autoencoder.network import (
    AutoencoderConfig,
    SkipAutoencoder,
    forward_any_size,
)
from gatekeeper.types import IntArray

Degrade = Callable[[Tensor, IntArray], Tensor]
"""(images, seeds) -> degraded images, strength and kind drawn from the seeds."""

Recognise = Callable[[Tensor], Tensor]
"""(images) -> logits of the frozen classifier, differentiable in the images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderTraining:
    """Schedule of the training.

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


def train_autoencoder(
    images: Callable[[IntArray], Tensor],
    labels: IntArray,
    *,
    degrade: Degrade,
    recognise: Recognise | None,
    options: AutoencoderTraining,
    config: AutoencoderConfig | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> SkipAutoencoder:
    """Train on clean images and their degraded copies.

    Args:
        images: Positions (B,) -> clean images (B, 3, H, W); positions run over the labels.
        labels: True class of each training image, shape (N,).
        degrade: Makes the degraded copy; may leave some images clean, which teaches identity.
        recognise: The frozen classifier; None leaves the recognition term out.
        options: Schedule.
        config: Widths; the default is the small variant divided by four.
        seed: Of initial weights, order and degradations.
        device: Where to train.
        on_step: Told the number of steps done and the loss.

    Source:
        CNN autoencoder denoising before classification (arXiv:2404.10664): mean squared error on
        [0, 1], Adam. Deviates in the recognition term, after URIE (arXiv:2007.08979): the frozen
        classifier's own loss on the restored image.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SkipAutoencoder(config)
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.Adam(network.parameters(), options.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, options.learning_rate, total_steps=options.steps + 1, pct_start=0.15
        )
        for step in range(options.steps):
            rows = rng.integers(0, len(labels), options.batch_size)
            clean = images(rows)
            degraded = degrade(clean, rng.integers(0, 2**62, options.batch_size)).to(device)
            truth = torch.from_numpy(labels[rows]) if recognise else None
            loss = restoration_loss(
                network,
                clean.to(device),
                degraded,
                recognise=recognise,
                labels=None if truth is None else truth.to(device),
                recognition_weight=options.recognition_weight,
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            on_step(step + 1, loss.item())
    network.eval()
    return network


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
