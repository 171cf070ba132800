"""Training of the U-Net: pixels first, and what the frozen classifier needs to recognise them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.shared import (
    PIXEL_LOSSES,
    Features,
    Optimiser,
    PixelLoss,
    Recognise,
    check_schedule,
    feature_distance,
    in_halves,
    pixel_loss,
    recognition_loss,
)
from gatekeeper.restorers.unet.network import ResidualUNet, UNetConfig
from gatekeeper.restorers.unet.restorer import UNetRestorer


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetOptions:
    """Schedule and weights of the terms of the loss.

    Attributes:
        steps: Planned optimiser steps, at least 1; they shape the one-cycle learning rate.
        learning_rate: Its peak, above 0.
        loss: What the pixels are judged by: ``"charbonnier"``, ``"l1"`` or ``"mse"``.
        pixel_weight: Of that term; 0 leaves the pixels to the classifier.
        recognition_weight: Of the frozen classifier's cross-entropy on the restored image.
        feature_weight: Of the relative squared distance between the classifier's features on the
            restored and on the clean image.
        identity_weight: Of the pixel term for clean images: what is clean must stay as it is.
        ema_decay: Of the moving average of the weights, which is what is exported; in [0, 1).
        bf16: Compute the U-Net in bfloat16 where that is safe (``torch.autocast``).

    Raises:
        InputError: a value is outside its range, or all weights are 0.
    """

    steps: int = 2000
    learning_rate: float = 1e-3
    loss: PixelLoss = "charbonnier"
    pixel_weight: float = 1.0
    recognition_weight: float = 0.0
    feature_weight: float = 0.0
    identity_weight: float = 0.0
    ema_decay: float = 0.999
    bf16: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        check_schedule(self.steps, self.learning_rate, self.ema_decay)
        if self.loss not in PIXEL_LOSSES:
            raise InputError(
                f"expected a pixel loss among {', '.join(PIXEL_LOSSES)}, got {self.loss!r}"
            )
        weights = {
            "pixel_weight": self.pixel_weight,
            "recognition_weight": self.recognition_weight,
            "feature_weight": self.feature_weight,
            "identity_weight": self.identity_weight,
        }
        if min(weights.values()) < 0 or not any(weights.values()):
            raise InputError(
                f"expected weights of at least 0 and one above it, got {weights}: weigh a term"
            )


class UNetTraining:
    """A U-Net in training; see :class:`gatekeeper.protocols.RestorerTraining`.

    Where memory runs out on CUDA, a step adds up the gradients of halves of its batch; all terms
    are means over images, so the result is the same.

    Args:
        config: Widths of the network.
        options: Schedule and terms.
        recognise: The frozen classifier, such as ``classifier.logits_with_gradient``; needed
            where ``recognition_weight`` is above 0.
        features: Its features; needed where ``feature_weight`` is above 0.
        seed: Of the initial weights.
        device: Where to train; None takes CUDA where there is any.

    Raises:
        InputError: a term has weight and what it needs is not given.

    Source:
        Recognition and identity terms after URIE (arXiv:2007.08979), features after FG-NIC (IEEE
        SPL 2021).
    """

    def __init__(
        self,
        config: UNetConfig | None = None,
        options: UNetOptions | None = None,
        *,
        recognise: Recognise | None = None,
        features: Features | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> None:
        self.options = options or UNetOptions()
        self._recognise, self._features = recognise, features
        for weight, given, what in (
            (self.options.recognition_weight, recognise, "recognise"),
            (self.options.feature_weight, features, "features"),
        ):
            if weight > 0 and given is None:
                raise InputError(
                    f"expected {what}, the frozen classifier, for a term of weight {weight}, got "
                    "none: pass it or set the weight to 0"
                )
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = ResidualUNet(config)
        self.network = network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimiser = Optimiser(
            self.network,
            steps=self.options.steps,
            learning_rate=self.options.learning_rate,
            ema_decay=self.options.ema_decay,
        )

    @property
    def steps_done(self) -> int:
        """Optimiser steps taken so far."""
        return self._optimiser.steps_done

    def step(self, batch: TrainingBatch) -> float:
        """One optimiser step; returns its loss.

        Raises:
            InputError: the classifier's term has weight and the batch has no labels.
            TrainingError: the loss is not finite; the weights stay as they were.
        """
        if self.options.recognition_weight > 0 and batch.labels is None:
            raise InputError(
                "expected labels in the batch for the recognition term, got none: pass them or "
                "set recognition_weight to 0"
            )
        self._optimiser.clear()
        self.network.train()
        n = len(batch.clean)
        pieces = in_halves(n, lambda rows: self._gradients(batch, rows, n))
        loss = sum(value for _, value in pieces)
        self._optimiser.apply(loss)
        return loss

    def _gradients(self, batch: TrainingBatch, rows: slice, n: int) -> float:
        share: float = (rows.stop - rows.start) / n
        labels = None if batch.labels is None else torch.from_numpy(batch.labels[rows])
        loss = self.loss(batch.clean[rows], batch.degraded[rows], labels)
        return self._optimiser.add_gradients(share * loss)

    def loss(self, clean: Tensor, degraded: Tensor, labels: Tensor | None = None) -> Tensor:
        """The weighted sum of the terms; a scalar, lower is better.

        Args:
            clean: Shape (B, 3, H, W), in [0, 1].
            degraded: The same images, degraded.
            labels: True classes, shape (B,); needed for the recognition term.
        """
        options = self.options
        clean, degraded = self._moved(clean), self._moved(degraded)
        both = options.identity_weight > 0
        shown = torch.cat([degraded, clean]) if both else degraded
        restored = self._restored(shown.contiguous(memory_format=torch.channels_last))
        restored, kept = restored[: len(clean)], restored[len(clean) :]
        terms = [options.pixel_weight * pixel_loss(restored, clean, options.loss)]
        if both:
            terms.append(options.identity_weight * pixel_loss(kept, clean, options.loss))
        if self._recognise is not None and labels is not None and options.recognition_weight > 0:
            cost = recognition_loss(restored, labels.to(self.device), self._recognise)
            terms.append(options.recognition_weight * cost)
        if self._features is not None and options.feature_weight > 0:
            cost = feature_distance(restored, clean, self._features)
            terms.append(options.feature_weight * cost)
        return torch.stack(terms).sum()

    def _restored(self, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bf16):
            residual: Tensor = self.network(images)
        return images + residual.to(torch.float32)

    def _moved(self, images: Tensor) -> Tensor:
        return images.to(self.device, non_blocking=True)

    def state(self) -> dict[str, Tensor]:
        """Network, moving average, optimiser and steps done, on the CPU."""
        return self._optimiser.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a kept state.

        Raises:
            InputError: the state is of another network.
        """
        self._optimiser.load_state(state)

    def export(self) -> UNetRestorer:
        """The restorer with the averaged weights; a copy, so that training can go on."""
        return UNetRestorer(copy.deepcopy(self._optimiser.average), device=str(self.device))
