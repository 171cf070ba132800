"""The arms of ``denoise_then_classify``: what each classifier is trained on, and what it answers.

Every classifier is first trained on clean images. Then each arm goes on with the same short
budget: on clean images, on noisy ones, or on noisy ones that were denoised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.denoise_networks import NETWORKS
from benchmarks.kept import Store, code_digest
from benchmarks.trainings import Shown, Trainings, Tuning, epoch_rows, steps_per_epoch
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.corruptions.randomness import uniform
from gatekeeper.images import Dataset, Splits, seeds_for
from gatekeeper.progress import Progress
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.autoencoder import (
    AutoencoderConfig,
    AutoencoderOptions,
    AutoencoderRestorer,
    AutoencoderTraining,
)
from gatekeeper.types import IntArray

ARMS = ("clean", "noisy", "denoised")
"""What the last epochs of an arm are trained on; also the conditions that all are judged under."""

SIGMA = 0.2
"""Standard deviation of the noise, share of full scale."""

DENOISER_SIGMAS = (0.05, 0.3)

_PIECE = 250
_PEAK, _TUNING_PEAK = 3e-3, 1e-3
_MEAN, _STD = 0.5, 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much is trained.

    Attributes:
        sizes: Images per split.
        base_epochs: Passes over clean *train* images before the arms part.
        tuning_epochs: Passes of each arm.
        denoiser_steps: Steps of the autoencoder, 64 images each.
        batch_size: Images per step of a classifier.
    """

    sizes: Mapping[str, int]
    base_epochs: int
    tuning_epochs: int
    denoiser_steps: int
    batch_size: int = 128


class Arms:
    """Denoiser, classifiers and their answers for one data set and one seed; all kept on disk.

    Args:
        data: The data set.
        splits: *train* is learned from, *test* judges; nothing else is read.
        budget: How much is trained.
        seed: Of weights, order and training noise; the noise of *test* is the same for all seeds.
        store: Where denoiser, classifiers and answers are kept.
        progress: Told of the trainings.
    """

    def __init__(
        self,
        data: Dataset,
        splits: Splits,
        budget: Budget,
        *,
        seed: int,
        store: Store,
        progress: Progress,
    ) -> None:
        self.data, self.splits, self.budget = data, splits, budget
        self.seed, self.store = seed, store
        self.trainings = Trainings(store, progress)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def _basis(self) -> dict[str, object]:
        """What every kept thing depends on."""
        return {
            "data": self.data.name,
            "train": self.splits.digest_of("train", self.data.digests),
            "test": self.splits.digest_of("test", self.data.digests),
            "budget": asdict(self.budget),
            "seed": self.seed,
            "code": code_digest("benchmarks.denoise_arms"),
        }

    @cached_property
    def denoiser(self) -> AutoencoderRestorer:
        """The skip autoencoder with the paper's loss, trained on *train* alone."""
        config, options = (
            AutoencoderConfig(),
            AutoencoderOptions(steps=self.budget.denoiser_steps, recognition_weight=0.0),
        )

        def begin() -> tuple[AutoencoderTraining, Callable[[], Mapping[str, Tensor]]]:
            training = AutoencoderTraining(config, options, seed=self.seed, device=self.device)
            return training, training.network.state_dict

        def batch(step: int) -> TrainingBatch:
            draw, train = np.random.default_rng([self.seed, step]), self.splits.train
            clean = self.data.batch(train[draw.integers(0, len(train), options.batch_size)])
            seeds = draw.integers(0, 2**62, options.batch_size)
            degraded = drawn_noise(clean, seeds)
            return TrainingBatch(clean=clean, degraded=degraded, labels=None, seeds=seeds)

        state = self.trainings.weights(
            "denoiser",
            {**self._basis, "what": "denoiser"},
            begin,
            batch,
            steps=options.steps,
            stage=f"{self.data.name}, seed {self.seed}: denoiser",
        )
        return AutoencoderRestorer.from_state(state, asdict(config), device=str(self.device))

    def shown(self, condition: str, rows: IntArray, purpose: str, seed: int) -> Tensor:
        """Images (B, 3, H, W) under one of :data:`ARMS`; noise from each image's own seed."""
        images = self.data.batch(rows)
        if condition == "clean":
            return images
        seeds = seeds_for(seed, self.data.digests[rows], f"noise {purpose}")
        degraded = noisy(images, seeds)
        if condition == "noisy":
            return degraded
        return self.denoiser.restore(degraded, seeds=seeds)

    def answers(self, architecture: str, arm: str) -> dict[str, IntArray]:
        """Answers to every *test* image under each condition, and to denoised clean images.

        Args:
            architecture: A key of ``NETWORKS``.
            arm: One of :data:`ARMS`.

        Returns:
            Condition -> labels, shape (N,), in the order of *test*.
        """

        def make() -> dict[str, np.ndarray]:
            network = self._network(architecture)
            network.load_state_dict(self._tuned(architecture, arm))
            network.eval()
            test = self.splits.test
            pieces = np.split(test, range(_PIECE, len(test), _PIECE))
            return {
                condition: np.concatenate([self._labels(network, condition, p) for p in pieces])
                for condition in (*ARMS, "denoised clean")
            }

        facts = {**self._basis, "what": "answers", "architecture": architecture, "arm": arm}
        kept = self.store.arrays(f"answers-{architecture}-{arm}", facts, make)
        return {condition: labels.astype(np.int64) for condition, labels in kept.items()}

    def _labels(self, network: nn.Module, condition: str, rows: IntArray) -> IntArray:
        if condition == "denoised clean":
            images = self.denoiser.restore(self.data.batch(rows), seeds=rows)
        else:
            images = self.shown(condition, rows, "test", 0)
        with torch.inference_mode():
            logits = network(normalised(images.to(self.device)))
        return np.asarray(logits.argmax(dim=1).cpu().numpy())

    def _network(self, architecture: str) -> nn.Module:
        network: nn.Module = NETWORKS[architecture](len(self.data.class_names), self.seed)
        return network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _base(self, architecture: str) -> dict[str, Tensor]:
        """Weights after the epochs on clean images that all arms share."""
        return self._trained(architecture, "base", "clean", self.budget.base_epochs, _PEAK, None)

    def _tuned(self, architecture: str, arm: str) -> dict[str, Tensor]:
        base = self._base(architecture)
        return self._trained(
            architecture, f"on {arm}", arm, self.budget.tuning_epochs, _TUNING_PEAK, base
        )

    def _trained(
        self,
        architecture: str,
        stage: str,
        condition: str,
        epochs: int,
        peak: float,
        start: dict[str, Tensor] | None,
    ) -> dict[str, Tensor]:
        labels = self.data.labels[self.splits.train]
        pace = {"n": len(labels), "batch_size": self.budget.batch_size}
        steps = epochs * steps_per_epoch(**pace)
        order = self.seed + 1_000 * (1 + ARMS.index(condition))

        def begin() -> tuple[Tuning, Callable[[], Mapping[str, Tensor]]]:
            network = self._network(architecture)
            if start is not None:
                network.load_state_dict(start)
            tuning = Tuning(
                network,
                lambda images: network(normalised(images)),
                steps=steps,
                learning_rate=peak,
                device=self.device,
            )
            return tuning, network.state_dict

        def shown(step: int) -> Shown:
            epoch, rows = epoch_rows(step, **pace, seed=order)
            images = self.shown(
                condition, self.splits.train[rows], f"{stage} {epoch}", self.seed
            ).clone()
            # The label is looked up by the same position as the image, whatever the order.
            return Shown(images, labels[rows])

        return self.trainings.weights(
            f"{architecture}-{stage.replace(' ', '-')}",
            {**self._basis, "what": stage, "architecture": architecture},
            begin,
            shown,
            steps=steps,
            stage=f"{self.data.name}, seed {self.seed}: {architecture} {stage}",
        )


def noisy(images: Tensor, seeds: IntArray) -> Tensor:
    """The images with Gaussian noise of :data:`SIGMA`, as storing them leaves them."""
    return CORRUPTIONS["gaussian"].at(images, level=SIGMA, seeds=seeds)


def drawn_noise(images: Tensor, seeds: IntArray) -> Tensor:
    """Gaussian noise of a standard deviation drawn evenly from :data:`DENOISER_SIGMAS`."""
    low, high = DENOISER_SIGMAS
    level = low + (high - low) * uniform(seeds, 1, stream=77)[:, 0].double()
    return CORRUPTIONS["gaussian"].at(images, level=level, seeds=seeds)


def normalised(images: Tensor) -> Tensor:
    """What the networks read."""
    return ((images - _MEAN) / _STD).contiguous(memory_format=torch.channels_last)
