"""Joint training of a restorer and a diffusion network on clean and on unlabelled noisy images."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.protocols import TrainingBatch, WeightedRestorer
from gatekeeper.restorers.noise_adaptation.conditions import drawn_swaps, exchanged, in_slots
from gatekeeper.restorers.noise_adaptation.denoiser import Denoiser, DenoiserConfig
from gatekeeper.restorers.noise_adaptation.draws import generators, normal_images
from gatekeeper.restorers.noise_adaptation.levels import (
    N_LEVELS,
    check_levels,
    drawn_shares,
    noised,
)
from gatekeeper.restorers.noise_adaptation.networks import RestorerNetwork, unet_network
from gatekeeper.restorers.noise_adaptation.objective import (
    diffusion_loss,
    prediction_error,
    ramp,
)
from gatekeeper.restorers.shared import Optimiser, check_schedule, in_halves, pixel_loss
from gatekeeper.types import IntArray

_LEVEL, _NOISE, _SLOTS, _SLOTS_OF_NEGATIVES, _DROPOUT = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseAdaptationOptions:
    """Schedule, and a switch for each mechanism.

    Attributes:
        steps: Planned optimiser steps, at least 1; they shape the one-cycle learning rate.
        learning_rate: Its peak, above 0 (paper: constant 1e-4).
        diffusion: Whether the noise of the camera is adapted to at all; without, the training is
            plain restoration of synthetic noise ("vanilla") and no diffusion network is built.
        slot_swap: Whether the two conditions change places at random.
        negatives: Whether pairs with exchanged residuals must be worse conditions.
        levels: First and last noise level, 1 to 999; the full range is (1, 999).
        diffusion_weight: What the weight of the diffusion loss approaches (paper: 0.2).
        ramp_steps: Over how many steps it rises (paper: 300 epochs).
        margin: By how much the negatives' error must be larger (paper: 0.1).
        ema_decay: Of the moving average of the restorer's weights, which is what is exported; in
            [0, 1) (paper: 0.9999, over far more steps).
        bf16: Compute the networks in bfloat16 where that is safe (``torch.autocast``).

    Raises:
        InputError: a value is outside its range.
    """

    steps: int = 2000
    learning_rate: float = 1e-3
    diffusion: bool = True
    slot_swap: bool = True
    negatives: bool = True
    levels: tuple[int, int] = (1, N_LEVELS - 1)
    diffusion_weight: float = 0.2
    ramp_steps: int = 1000
    margin: float = 0.1
    ema_decay: float = 0.999
    bf16: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        check_schedule(self.steps, self.learning_rate, self.ema_decay)
        check_levels(self.levels)
        if self.ramp_steps < 1 or self.diffusion_weight < 0.0 or self.margin < 0.0:
            raise InputError(
                "expected ramp_steps of at least 1, diffusion_weight and margin of at least 0, got "
                f"{self.ramp_steps}, {self.diffusion_weight} and {self.margin}: correct them"
            )


@dataclass(frozen=True, slots=True)
class Terms:
    """The parts of one step's loss, each a scalar.

    Attributes:
        restoration: Charbonnier distance of restored synthetic noise to the clean images.
        noise: Error of the predicted noise; None without diffusion.
        noise_of_negatives: The same under exchanged residuals; None without negatives.
    """

    restoration: Tensor
    noise: Tensor | None = None
    noise_of_negatives: Tensor | None = None


class NoiseAdaptationTraining:
    """A restorer that learns a camera's noise without clean images of that camera.

    The restorer removes synthetic noise from clean images, with the truth, and noise of the camera
    from other images, without. A diffusion network predicts the noise in a diffused clean image,
    helped by both restored images; the better they are restored, the smaller its error, and the
    error's gradient flows through them into the restorer. The diffusion network is dropped when
    the restorer is exported. See :class:`gatekeeper.protocols.RestorerTraining`.

    Of a batch, ``clean``, ``degraded`` (synthetic noise, see :func:`synthetic_noise`) and
    ``unlabelled`` (the camera's) are read; labels never. Where memory runs out on CUDA, a step
    adds up the gradients of halves of its batch; the contrast then compares means over halves.

    Args:
        options: Schedule and switches.
        restorer: The network that restores; a U-Net by default.
        denoiser: Size of the diffusion network.
        seed: Of the initial weights.
        device: Where to train; None takes CUDA where there is any.

    Source:
        Noise-DA, "Denoising as adaptation" (arXiv:2406.18516). Deviates in the one-cycle learning
        rate, in a ramp that counts steps, and without negatives in the noise term's full weight.
    """

    def __init__(
        self,
        options: NoiseAdaptationOptions | None = None,
        *,
        restorer: RestorerNetwork | None = None,
        denoiser: DenoiserConfig | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> None:
        self.options = options or NoiseAdaptationOptions()
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._restorer = restorer or unet_network()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self._restorer.build()
            diffusing = Denoiser(denoiser) if self.options.diffusion else None
        self.network = network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.denoiser: Denoiser | None = None
        if diffusing is not None:
            self.denoiser = diffusing.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimiser = Optimiser(
            self.network,
            others={} if self.denoiser is None else {"denoiser": self.denoiser},
            steps=self.options.steps,
            learning_rate=self.options.learning_rate,
            ema_decay=self.options.ema_decay,
        )

    @property
    def steps_done(self) -> int:
        """Optimiser steps taken so far."""
        return self._optimiser.steps_done

    def step(self, batch: TrainingBatch) -> float:
        """One optimiser step of both networks; returns its loss.

        Raises:
            InputError: there are no unlabelled images, or not as many and as large as clean ones.
            TrainingError: the loss is not finite; the weights stay as they were.
        """
        self._check(batch)
        self._optimiser.clear()
        self.network.train()
        n = len(batch.clean)

        def gradients(rows: slice) -> float:
            share: float = (rows.stop - rows.start) / n
            return self._optimiser.add_gradients(share * self.loss(self.terms(batch, rows)))

        loss = sum(value for _, value in in_halves(n, gradients))
        self._optimiser.apply(loss)
        return loss

    def terms(self, batch: TrainingBatch, rows: slice = slice(None)) -> Terms:
        """The parts of the loss on some rows of a batch."""
        clean, synthetic = self._moved(batch.clean[rows]), self._moved(batch.degraded[rows])
        if self.denoiser is None or batch.unlabelled is None:
            restored = synthetic + self._residual(synthetic)
            return Terms(pixel_loss(restored, clean, "charbonnier"))
        real = self._moved(batch.unlabelled[rows])
        residuals = self._residual(torch.cat([synthetic, real]))
        of_synthetic, of_real = residuals.chunk(2)
        restored = synthetic + of_synthetic
        diffused = _Diffused.draw(clean, batch.seeds[rows], self.options.levels)
        positive = self._noise_error(diffused, restored, real + of_real, _SLOTS)
        negative = None
        if self.options.negatives:
            pair = exchanged(synthetic, real, of_synthetic, of_real)
            negative = self._noise_error(diffused, *pair, _SLOTS_OF_NEGATIVES)
        return Terms(pixel_loss(restored, clean, "charbonnier"), positive, negative)

    def loss(self, terms: Terms) -> Tensor:
        """The parts put together as the ramp has it at this step; a scalar."""
        if terms.noise is None:
            return terms.restoration
        options = self.options
        weight = ramp(self.steps_done, over=options.ramp_steps, weight=options.diffusion_weight)
        joint = diffusion_loss(terms.noise, terms.noise_of_negatives, options.margin)
        return terms.restoration + weight * joint

    def _noise_error(self, diffused: _Diffused, one: Tensor, other: Tensor, stream: int) -> Tensor:
        if self.denoiser is None:
            raise InputError("expected diffusion to be on, it is off: there is no noise to predict")
        swaps = torch.zeros(len(one), dtype=torch.bool)
        if self.options.slot_swap:
            swaps = drawn_swaps(generators(diffused.seeds, stream))
        condition = in_slots(one, other, swaps.to(self.device))
        dropout = [
            torch.Generator().manual_seed(int(draw.integers(2**62)))
            for draw in generators(diffused.seeds, _DROPOUT)
        ]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bf16):
            predicted = self.denoiser(diffused.noisy, condition, diffused.gamma, dropout)
        return prediction_error(diffused.noise, predicted.to(torch.float32))

    def _residual(self, images: Tensor) -> Tensor:
        inputs = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bf16):
            residual = self._restorer.residual(self.network, inputs)
        return residual.to(torch.float32)

    def _check(self, batch: TrainingBatch) -> None:
        if not self.options.diffusion:
            return
        wanted, got = (
            batch.clean.shape,
            None if batch.unlabelled is None else batch.unlabelled.shape,
        )
        if wanted != got:
            raise InputError(
                f"expected unlabelled noisy images of shape {tuple(wanted)}, one per clean one, "
                f"got {None if got is None else tuple(got)}: draw as many crops of the same size"
            )

    def _moved(self, images: Tensor) -> Tensor:
        return images.to(self.device, non_blocking=True)

    def state(self) -> dict[str, Tensor]:
        """Both networks, the restorer's moving average, optimiser and steps done, on the CPU."""
        return self._optimiser.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a kept state.

        Raises:
            InputError: the state is of other networks.
        """
        self._optimiser.load_state(state)

    def export(self) -> WeightedRestorer:
        """The restorer with the averaged weights, without the diffusion network; a copy."""
        return self._restorer.export(copy.deepcopy(self._optimiser.average), str(self.device))


@dataclass(frozen=True, slots=True)
class _Diffused:
    """Clean images with known noise at known levels, and the seeds that everything came from."""

    noisy: Tensor
    noise: Tensor
    gamma: Tensor
    seeds: IntArray

    @classmethod
    def draw(cls, clean: Tensor, seeds: IntArray, levels: tuple[int, int]) -> _Diffused:
        gamma = drawn_shares(generators(seeds, _LEVEL), levels).to(clean.device)
        height, width = clean.shape[2:]
        noise = normal_images(seeds, height, width, stream=_NOISE).to(clean.device)
        return cls(noised(clean, noise, gamma), noise, gamma, seeds)
