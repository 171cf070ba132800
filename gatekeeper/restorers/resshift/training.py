"""Training of the chain: predict the clean image at a random step; first the latents, if any."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.resshift.autoencoder import VQAutoencoder
from gatekeeper.restorers.resshift.config import ResShiftConfig
from gatekeeper.restorers.resshift.draws import generators, normal_noise
from gatekeeper.restorers.resshift.masks import random_masks
from gatekeeper.restorers.resshift.restorer import ResShiftNetworks, ResShiftRestorer
from gatekeeper.restorers.resshift.tiling import mirrored
from gatekeeper.restorers.shared import Features, Optimiser, feature_distance, in_halves
from gatekeeper.types import IntArray

_STEP_STREAM, _NOISE_STREAM, _HOLE_STREAM = 8001, 8002, 8003
_CHAIN, _LATENT = "chain.", "latent."


@dataclass(frozen=True, slots=True, kw_only=True)
class ResShiftOptions:
    """Schedule and objective.

    Attributes:
        steps: Planned optimiser steps of the chain's network, at least 1.
        learning_rate: Peak of the one-cycle rate, above 0 (paper: 5e-5, at its size).
        feature_weight: Of the relative squared distance between the frozen classifier's features
            on the restored and on the clean image; stands where the paper has LPIPS, and is none.
        hole_share: Share of images that get random holes where a batch comes without a mask, in
            [0, 1]; needs a configuration with ``mask``.
        ema_decay: Of the moving average of the weights, which is exported; in [0, 1) (paper:
            0.999).
        autoencoder_steps: Optimiser steps before those of the chain, in which the autoencoder
            learns; at least 1 for a chain on latents, not used otherwise.

    Raises:
        InputError: a value is outside its range.
    """

    steps: int = 2000
    learning_rate: float = 1e-3
    feature_weight: float = 0.0
    hole_share: float = 0.25
    ema_decay: float = 0.999
    autoencoder_steps: int = 1000

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        if min(self.steps, self.autoencoder_steps) < 1 or not self.learning_rate > 0.0:
            raise InputError(
                f"expected at least one step and a learning rate above 0, got {self}: correct them"
            )
        if not 0.0 <= self.hole_share <= 1.0 or not 0.0 <= self.ema_decay < 1.0:
            raise InputError(
                f"expected a hole_share in [0, 1] and an ema_decay in [0, 1), got "
                f"{self.hole_share} and {self.ema_decay}"
            )
        if self.feature_weight < 0.0:
            raise InputError(f"expected a feature_weight of 0 or more, got {self.feature_weight}")


class ResShiftTraining:
    """A chain in training; see :class:`gatekeeper.protocols.RestorerTraining`.

    A chain on latents trains its autoencoder first, on the clean images alone, for
    ``autoencoder_steps``; from then on it is frozen. Where memory runs out on CUDA, a step adds up
    the gradients of halves of its batch.

    Args:
        config: Chain and networks.
        options: Schedule and objective.
        features: The frozen classifier's features; needed where ``feature_weight`` is above 0.
        seed: Of the initial weights.
        device: Where to train; None takes CUDA where there is any.

    Raises:
        InputError: the feature term has weight and no features are given.

    Source:
        ResShift (arXiv:2307.12348): uniform steps, unweighted squared error of the prediction,
        moving average. Deviates in Adam with a one-cycle rate, in the feature term, and in
        training the autoencoder on squared error alone, without a discriminator.
    """

    def __init__(
        self,
        config: ResShiftConfig | None = None,
        options: ResShiftOptions | None = None,
        *,
        features: Features | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> None:
        self.config, self.options = config or ResShiftConfig(), options or ResShiftOptions()
        self._features = features
        if self.options.feature_weight > 0 and features is None:
            raise InputError(
                f"expected features, the frozen classifier's, for a term of weight "
                f"{self.options.feature_weight}, got none: pass them or set the weight to 0"
            )
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            networks = ResShiftNetworks(self.config)
        self.networks = networks.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._chain = self.config.training_chain()
        self._optimiser = Optimiser(
            self.networks.unet,
            steps=self.options.steps,
            learning_rate=self.options.learning_rate,
            ema_decay=self.options.ema_decay,
        )
        self._latent: Optimiser[VQAutoencoder] | None = None
        if self.networks.autoencoder is not None:
            self._latent = Optimiser(
                self.networks.autoencoder,
                steps=self.options.autoencoder_steps,
                learning_rate=self.options.learning_rate,
                ema_decay=self.options.ema_decay,
            )

    @property
    def steps_done(self) -> int:
        """Optimiser steps taken so far, those of the autoencoder included."""
        return self._optimiser.steps_done + (0 if self._latent is None else self._latent.steps_done)

    def step(self, batch: TrainingBatch) -> float:
        """One optimiser step; returns its loss.

        Raises:
            InputError: the batch has a mask and the configuration none.
            TrainingError: the loss is not finite; the weights stay as they were.
        """
        if batch.mask is not None and not self.config.mask:
            raise InputError(
                "expected no mask, because the configuration has no channel for it, got one: set "
                "mask in the configuration, or leave it out of the batch"
            )
        autoencoder, latent = self.networks.autoencoder, self._latent
        learning = latent is not None and latent.steps_done < self.options.autoencoder_steps
        if autoencoder is not None and latent is not None and learning:
            return self._latent_step(batch, autoencoder, latent)
        self._optimiser.clear()
        self.networks.unet.train()
        n = len(batch.clean)
        mask = self._holes(batch)
        pieces = in_halves(n, lambda rows: self._gradients(batch, mask, rows))
        loss = sum(value for _, value in pieces)
        self._optimiser.apply(loss)
        return loss

    def _gradients(self, batch: TrainingBatch, mask: Tensor | None, rows: slice) -> float:
        share: float = (rows.stop - rows.start) / len(batch.clean)
        with self._autocast():
            loss = self.loss(
                batch.clean[rows],
                batch.degraded[rows],
                batch.seeds[rows],
                None if mask is None else mask[rows],
            )
        return self._optimiser.add_gradients(share * loss)

    def loss(
        self,
        clean: Tensor,
        degraded: Tensor,
        seeds: IntArray,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Squared error of the prediction at a random step per image, plus the feature term.

        Args:
            clean: Shape (B, 3, H, W), in [0, 1].
            degraded: The same images, degraded.
            seeds: Shape (B,); steps and noise come from them.
            mask: Shape (B, 1, H, W), 1 where known; holes are blackened here. None without holes.

        Returns:
            A scalar, in the squared units of images in [-1, 1] or of latents; lower is better.
        """
        wanted, y, known = self._prepared(clean, degraded, mask)
        with torch.no_grad():
            x0, z = self.networks.encode(wanted).float(), self.networks.encode(y).float()
        t = self._steps(seeds)
        shape = (x0.shape[1], x0.shape[2], x0.shape[3])
        noise = normal_noise(seeds, shape, stream=_NOISE_STREAM).to(self.device)
        x_t = self._chain.marginal(x0, z, t, noise)
        kind = self.config.predicts
        noisy = self._chain.scaled(x_t, t).contiguous(memory_format=torch.channels_last)
        predicted = self.networks.unet(noisy, y, self._chain.times(t), known).float()
        error = (predicted - self._chain.target(kind, x0, z, t, noise)).square()
        loss: Tensor = (self._chain.weight(kind, t, error) * error).mean()
        if self._features is not None and self.options.feature_weight > 0:
            found = self._chain.x0_from(kind, predicted, x_t, z, t)
            height, width = clean.shape[2:]
            restored = (self.networks.decode(found)[:, :, :height, :width].float() + 1.0) / 2.0
            moved = clean.to(self.device)
            loss = loss + self.options.feature_weight * feature_distance(
                restored, moved, self._features
            )
        return loss

    def _prepared(
        self, clean: Tensor, degraded: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Both images in [-1, 1] and the mask, padded and where they are needed."""
        moved = [image.to(self.device, non_blocking=True) for image in (clean, degraded)]
        known = None if mask is None else mask.to(self.device, moved[1].dtype)
        if known is not None:
            moved[1] = moved[1] * known
            known = mirrored(known, self.config.multiple)
        wanted, y = (
            (2.0 * mirrored(image, self.config.multiple) - 1.0).contiguous(
                memory_format=torch.channels_last
            )
            for image in moved
        )
        return wanted, y, known

    def _steps(self, seeds: IntArray) -> Tensor:
        drawn = [g.integers(1, self.config.steps + 1) for g in generators(seeds, _STEP_STREAM)]
        return torch.tensor(drawn, device=self.device)

    def _holes(self, batch: TrainingBatch) -> Tensor | None:
        """The batch's mask, or one with random holes in a share of the images."""
        if batch.mask is not None or not self.config.mask or self.options.hole_share == 0.0:
            return batch.mask
        height, width = batch.clean.shape[2:]
        drawn = [g.uniform() for g in generators(batch.seeds, _HOLE_STREAM)]
        whole = torch.tensor([share >= self.options.hole_share for share in drawn])
        mask = random_masks(batch.seeds, height, width)
        return torch.where(whole.reshape(-1, 1, 1, 1), torch.ones_like(mask), mask)

    def _latent_step(
        self,
        batch: TrainingBatch,
        autoencoder: VQAutoencoder,
        optimiser: Optimiser[VQAutoencoder],
    ) -> float:
        """One step of the autoencoder, on the clean images."""
        wanted, _, _ = self._prepared(batch.clean, batch.clean, None)
        # Images that are not finite end in an error below, and must not reach the codebook.
        if optimiser.steps_done == 0 and bool(torch.isfinite(wanted).all()):
            generator = torch.Generator().manual_seed(int(batch.seeds[0]) % 2**63)
            autoencoder.place_codes(wanted, generator)
        optimiser.clear()
        autoencoder.train()
        n = len(wanted)

        def gradients(rows: slice) -> float:
            with self._autocast():
                rebuilt, codebook = autoencoder(wanted[rows])
            loss = F.mse_loss(rebuilt.float(), wanted[rows]) + codebook.float()
            return optimiser.add_gradients((rows.stop - rows.start) / n * loss)

        loss = sum(value for _, value in in_halves(n, gradients))
        optimiser.apply(loss)
        if optimiser.steps_done == self.options.autoencoder_steps:
            # From here on it is frozen, with the averaged weights and the spread they give.
            autoencoder.load_state_dict(optimiser.average.state_dict())
            autoencoder.set_spread(wanted)
            optimiser.average.load_state_dict(autoencoder.state_dict())
            autoencoder.eval().requires_grad_(False)
            optimiser.clear()
        return loss

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def state(self) -> dict[str, Tensor]:
        """Networks, averages, moments and steps done, on the CPU."""
        state = {f"{_CHAIN}{name}": t for name, t in self._optimiser.state().items()}
        if self._latent is not None:
            state |= {f"{_LATENT}{name}": t for name, t in self._latent.state().items()}
        return state

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a kept state, as if there had been no pause.

        Raises:
            InputError: the state is of other networks.
        """
        self._optimiser.load_state(_part(state, _CHAIN))
        if self._latent is not None:
            self._latent.load_state(_part(state, _LATENT))
            done = self._latent.steps_done >= self.options.autoencoder_steps
            if done and self.networks.autoencoder is not None:
                self.networks.autoencoder.eval().requires_grad_(False)

    def export(self) -> ResShiftRestorer:
        """The restorer with the averaged weights; a copy, so that training can go on."""
        networks = copy.deepcopy(self.networks)
        networks.unet.load_state_dict(self._optimiser.average.state_dict())
        if networks.autoencoder is not None and self._latent is not None:
            networks.autoencoder.load_state_dict(self._latent.average.state_dict())
        return ResShiftRestorer(networks, device=str(self.device))


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
