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
from torch.nn import functional as F

from benchmarks.denoise_networks import NETWORKS
from benchmarks.kept import Store, code_digest
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.corruptions.randomness import uniform
from gatekeeper.images import Dataset, Splits, seeds_for
from gatekeeper.progress import Progress
from gatekeeper.restorers.autoencoder.network import AutoencoderConfig
from gatekeeper.restorers.autoencoder.restorer import AutoencoderRestorer
from gatekeeper.restorers.autoencoder.training import AutoencoderOptions, train_autoencoder
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
        self.seed, self.store, self.progress = seed, store, progress
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
        config = AutoencoderConfig()

        def make() -> dict[str, np.ndarray]:
            train = self.splits.train
            self.progress.start(f"{self.data.name}: denoiser", self.budget.denoiser_steps)
            network = train_autoencoder(
                lambda rows: self.data.batch(train[rows]),
                self.data.labels[train],
                degrade=drawn_noise,
                recognise=None,
                options=AutoencoderOptions(
                    steps=self.budget.denoiser_steps, recognition_weight=0.0
                ),
                config=config,
                seed=self.seed,
                device=self.device,
                on_step=lambda step, loss: self.progress.advance(1),
            )
            return {name: t.cpu().numpy() for name, t in network.state_dict().items()}

        kept = self.store.arrays("denoiser", {**self._basis, "what": "denoiser"}, make)
        state = {name: torch.from_numpy(array) for name, array in kept.items()}
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
        def make() -> dict[str, np.ndarray]:
            network = self._network(architecture)
            if start is not None:
                network.load_state_dict(start)
            self.progress.start(f"{self.data.name}: {architecture} {stage}", epochs)
            fit(
                network,
                lambda epoch, rows: self.shown(
                    condition, self.splits.train[rows], f"{stage} {epoch}", self.seed
                ),
                self.data.labels[self.splits.train],
                epochs=epochs,
                batch_size=self.budget.batch_size,
                peak=peak,
                seed=self.seed + 1_000 * (1 + ARMS.index(condition)),
                device=self.device,
                on_epoch=lambda: self.progress.advance(1),
            )
            return {name: t.cpu().numpy() for name, t in network.state_dict().items()}

        facts = {**self._basis, "what": stage, "architecture": architecture}
        kept = self.store.arrays(f"{architecture}-{stage.replace(' ', '-')}", facts, make)
        return {name: torch.from_numpy(array) for name, array in kept.items()}


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


def fit(
    network: nn.Module,
    images: Callable[[int, IntArray], Tensor],
    labels: IntArray,
    *,
    epochs: int,
    batch_size: int,
    peak: float,
    seed: int,
    device: torch.device,
    on_epoch: Callable[[], None] = lambda: None,
) -> None:
    """Train with AdamW and one cycle of the learning rate.

    Args:
        network: Trained in place.
        images: (epoch, positions among the labels) -> images.
        labels: True classes, shape (N,).
        epochs: Passes over all of them.
        batch_size: Images per step.
        peak: Highest learning rate.
        seed: Of the order.
        device: Where to train.
        on_epoch: Told after each pass.
    """
    rng = np.random.default_rng(seed)
    n_batches = max(1, len(labels) // batch_size)
    optimiser = torch.optim.AdamW(network.parameters(), peak, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, peak, total_steps=epochs * n_batches + 1, pct_start=0.2
    )
    network.train()
    for epoch in range(epochs):
        for rows in np.array_split(rng.permutation(len(labels)), n_batches):
            # The label is looked up by the same position as the image, whatever the order.
            truth = torch.from_numpy(labels[rows]).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                logits = network(normalised(images(epoch, rows).to(device)))
                loss = F.cross_entropy(logits, truth)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        on_epoch()
