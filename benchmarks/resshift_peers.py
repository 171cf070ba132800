"""What ResShift is measured beside: the same network in one pass, and a diffusion from noise."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.resshift import ResShiftOptions, SwinUNet, SwinUNetConfig
from gatekeeper.restorers.resshift.draws import generators, normal_noise
from gatekeeper.restorers.resshift.tiling import mirrored
from gatekeeper.restorers.shared import Optimiser
from gatekeeper.types import IntArray

_STEP_STREAM, _NOISE_STREAM = 8001, 8002


class Peer(ABC):
    """The network of ResShift under another objective, with the same optimiser and averages.

    Args:
        config: Size of the network.
        options: Schedule of the training; its terms besides the squared error are not used.
        mask: Whether the network has a channel for holes.
        seed: Of the initial weights.
    """

    def __init__(
        self, config: SwinUNetConfig, options: ResShiftOptions, *, mask: bool, seed: int = 0
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = SwinUNet(config, mask=mask)
        self._multiple = config.stride
        self._optimiser = Optimiser(
            network,
            steps=options.steps,
            learning_rate=options.learning_rate,
            ema_decay=options.ema_decay,
        )
        self._network = network

    @property
    def steps_done(self) -> int:
        """Optimiser steps taken so far."""
        return self._optimiser.steps_done

    def step(self, batch: TrainingBatch) -> float:
        """One optimiser step; returns its loss."""
        y, known = self._prepared(batch.degraded, batch.mask)
        x0, _ = self._prepared(batch.clean, None)
        self._optimiser.clear()
        loss = self._optimiser.add_gradients(self._loss(x0, y, known, batch.seeds))
        self._optimiser.apply(loss)
        return loss

    @torch.no_grad()
    def restore(self, images: Tensor, *, seeds: IntArray, mask: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same; known pixels are kept where a mask is given."""
        y, known = self._prepared(images, mask)
        restored = (self._answer(y, known, seeds) + 1.0) / 2.0
        restored = restored.clamp(0.0, 1.0)[:, :, : images.shape[2], : images.shape[3]]
        return restored if mask is None else torch.where(mask == 1, images, restored)

    def state(self) -> dict[str, Tensor]:
        """Network, average, moments and steps done."""
        return self._optimiser.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a kept state."""
        self._optimiser.load_state(state)

    def _prepared(self, images: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        shown = images if mask is None else images * mask
        known = None if mask is None else mirrored(mask, self._multiple)
        return 2.0 * mirrored(shown, self._multiple) - 1.0, known

    @property
    def _trained(self) -> SwinUNet:
        return self._optimiser.average

    @abstractmethod
    def _loss(self, x0: Tensor, y: Tensor, known: Tensor | None, seeds: IntArray) -> Tensor: ...

    @abstractmethod
    def _answer(self, y: Tensor, known: Tensor | None, seeds: IntArray) -> Tensor: ...


class OnePass(Peer):
    """What to add to the degraded image, in one call: it is shown twice, without noise."""

    def _loss(self, x0: Tensor, y: Tensor, known: Tensor | None, seeds: IntArray) -> Tensor:
        return F.mse_loss(y + self._network(y, y, self._first(y), known), x0)

    def _answer(self, y: Tensor, known: Tensor | None, seeds: IntArray) -> Tensor:
        added: Tensor = self._trained(y, y, self._first(y), known)
        return y + added

    @staticmethod
    def _first(y: Tensor) -> Tensor:
        return torch.zeros(len(y), dtype=torch.int64)


class EpsilonDiffusion(Peer):
    """From pure noise, with the degraded image beside it, predicting the noise at each step.

    Args:
        config: As for every peer.
        options: Likewise.
        mask: Likewise.
        n_steps: Steps of training and sampling, at least 1.
        seed: Of the initial weights.

    Source:
        Ho et al. 2020 (arXiv:2006.11239), conditioned as in SR3 (arXiv:2104.07636), with the
        cosine schedule of Nichol & Dhariwal 2021 (arXiv:2102.09672) over ``n_steps`` steps; x0 is
        cut to [-1, 1] at each of them.
    """

    def __init__(
        self,
        config: SwinUNetConfig,
        options: ResShiftOptions,
        *,
        mask: bool,
        n_steps: int,
        seed: int = 0,
    ) -> None:
        super().__init__(config, options, mask=mask, seed=seed)
        self.kept = cosine_kept(n_steps)

    def _loss(self, x0: Tensor, y: Tensor, known: Tensor | None, seeds: IntArray) -> Tensor:
        n_steps = len(self.kept) - 1
        drawn = [int(g.integers(1, n_steps + 1)) for g in generators(seeds, _STEP_STREAM)]
        t = torch.tensor(drawn)
        kept = torch.tensor(self.kept)[t].reshape(-1, 1, 1, 1)
        noise = normal_noise(seeds, _shape(x0), stream=_NOISE_STREAM)
        x_t = kept.sqrt() * x0 + (1.0 - kept).sqrt() * noise
        return F.mse_loss(self._network(x_t, y, t - 1, known), noise)

    def _answer(self, y: Tensor, known: Tensor | None, seeds: IntArray) -> Tensor:
        n_steps = len(self.kept) - 1
        x_t = normal_noise(seeds, _shape(y), stream=0)
        for t in range(n_steps, 0, -1):
            noise = self._trained(x_t, y, torch.full((len(y),), t - 1), known)
            here, before = self.kept[t], self.kept[t - 1]
            x0 = ((x_t - math.sqrt(1.0 - here) * noise) / math.sqrt(here)).clamp(-1.0, 1.0)
            step = here / before
            mean = (
                math.sqrt(before) * (1.0 - step) * x0 + math.sqrt(step) * (1.0 - before) * x_t
            ) / (1.0 - here)
            spread = math.sqrt((1.0 - before) / (1.0 - here) * (1.0 - step))
            x_t = (
                mean
                if t == 1
                else mean + spread * normal_noise(seeds, _shape(y), stream=n_steps + 1 - t)
            )
        return x_t


def cosine_kept(n_steps: int) -> list[float]:
    """Share of the clean image's variance that is left at steps 0 … T: 1 at 0, falling.

    Each step keeps at least a thousandth of the one before.
    """

    def share(t: int) -> float:
        return math.cos((t / n_steps + 0.008) / 1.008 * math.pi / 2.0) ** 2

    kept = [1.0]
    for t in range(1, n_steps + 1):
        kept.append(kept[-1] * max(share(t) / share(t - 1), 1e-3))
    return kept


def _shape(images: Tensor) -> tuple[int, int, int]:
    return images.shape[1], images.shape[2], images.shape[3]
