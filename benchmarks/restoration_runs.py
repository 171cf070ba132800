"""What ``restoration`` trains and looks at: restorers, the ceiling, and answers at fixed noise.

All of it is kept on disk, trainings with their states on the way, so that a run that was cut short
goes on; one cell is one classifier under one seed. Nothing but *train* images is learned from,
under the seen corruptions alone.

The classical peer is non-local means of scikit-image. BM3D is not measured: what pip has of it
(bm3d 4.0.3) is for non-commercial use only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from skimage.restoration import denoise_nl_means
from torch import Tensor

from benchmarks.kept import Store, code_digest
from benchmarks.trainings import Shown, Trainings, Tuning
from gatekeeper.bundle import ClassifierSpec
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.images import Dataset, Splits, seeds_for
from gatekeeper.progress import Progress
from gatekeeper.protocols import Classifier, Restorer, TrainingBatch
from gatekeeper.restorers.autoencoder import (
    AutoencoderConfig,
    AutoencoderOptions,
    AutoencoderRestorer,
    AutoencoderTraining,
)
from gatekeeper.restorers.unet import UNetConfig, UNetOptions, UNetRestorer, UNetTraining
from gatekeeper.training.degradation import Degradation
from gatekeeper.training.restorer_recipe import CorruptionDraw
from gatekeeper.types import BoolArray, IntArray

SIGMAS = (0.1, 0.2, 0.3)
CONDITIONS = ("noisy", "recognition-first U-Net", "PSNR U-Net", "autoencoder", "non-local means")
"""What each image is shown as, beside the ceiling's."""

CEILING = "ceiling"
RESTORED, PSNR, AUTOENCODER = CONDITIONS[1:4]

TRAINED: Mapping[str, float] = {RESTORED: 8.0, PSNR: 3.0, AUTOENCODER: 2.0}
"""Restorers that are trained, and about how long each takes beside the others."""

_DRAWS = (
    CorruptionDraw(name="gaussian", level=(0.03, 0.33)),
    CorruptionDraw(name="shot_noise"),
    CorruptionDraw(name="gaussian_blur"),
)
_CLEAN_SHARE = 0.2
_PIECE = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is trained; the same for every seed and classifier.

    Attributes:
        unet_steps: Steps of either U-Net, ``batch_size`` images each.
        autoencoder_steps: Steps of the autoencoder.
        widths: Of both U-Nets: the PSNR-trained peer is as large.
        batch_size: Images per step.
        ceiling_steps: Steps by which the classifier is tuned on restored images: its whole budget.
        sigma_images: Most *test* images that are judged at each sigma.
    """

    unet_steps: int = 2200
    autoencoder_steps: int = 1500
    widths: tuple[int, ...] = (24, 48, 96)
    batch_size: int = 32
    ceiling_steps: int = 700
    sigma_images: int = 3000


QUICK = Size(
    unet_steps=30,
    autoencoder_steps=30,
    widths=(4, 8),
    batch_size=16,
    ceiling_steps=40,
    sigma_images=60,
)


class Runs:
    """Restorers and answers of one classifier under one seed.

    Args:
        data: The data set.
        splits: *train* is learned from, *test* judges.
        spec: How to build the frozen classifier.
        size: How much is trained.
        seed: Of weights, order and noise.
        store: Where everything is kept.
        progress: Told of the trainings.
    """

    def __init__(
        self,
        data: Dataset,
        splits: Splits,
        spec: ClassifierSpec,
        size: Size,
        *,
        seed: int,
        store: Store,
        progress: Progress,
    ) -> None:
        self.data, self.splits, self.spec, self.size = data, splits, spec, size
        self.seed, self.store, self.progress = seed, store, progress
        self.classifier: Classifier = spec.build()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._degrade = Degradation(_DRAWS, clean_share=_CLEAN_SHARE)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What everything that is kept depends on."""
        return {
            "train": self.splits.digest_of("train", self.data.digests),
            "test": self.splits.digest_of("test", self.data.digests),
            "classifier": self.classifier.digest,
            "size": asdict(self.size),
            "seed": self.seed,
            "code": code_digest("benchmarks.restoration_runs"),
        }

    @cached_property
    def _shared_facts(self) -> dict[str, Any]:
        """The same, for what no classifier has a say in."""
        return {name: fact for name, fact in self.facts.items() if name != "classifier"}

    @cached_property
    def restorers(self) -> dict[str, Restorer]:
        """The three that are trained, by their name among :data:`CONDITIONS`."""
        return {name: self.restorer(name) for name in TRAINED}

    def restorer(self, name: str) -> Restorer:
        """One of :data:`TRAINED`, from the disk or trained and kept."""
        if name == RESTORED:
            return self._unet(
                "recognition-first",
                self.facts,
                self._trainings(self.store),
                recognition_weight=0.02,
                feature_weight=0.1,
                identity_weight=1,
            )
        if name == PSNR:
            # Classifiers under one seed share it.
            shared = Store(self.store.folder.parent / f"seed-{self.seed}")
            return self._unet("psnr", self._shared_facts, self._trainings(shared), loss="mse")
        return self._autoencoder()

    def _trainings(self, store: Store) -> Trainings:
        return Trainings(store, self.progress)

    def _unet(
        self,
        name: str,
        facts: Mapping[str, Any],
        trainings: Trainings,
        **terms: Any,  # noqa: ANN401  # of the options
    ) -> UNetRestorer:
        config = UNetConfig(self.size.widths)

        def begin() -> tuple[UNetTraining, Callable[[], Mapping[str, Tensor]]]:
            training = UNetTraining(
                config,
                UNetOptions(steps=self.size.unet_steps, bf16=True, **terms),
                recognise=self.classifier.logits_with_gradient,  # type: ignore[attr-defined]
                features=self.classifier.features_with_gradient,  # type: ignore[attr-defined]
                seed=self.seed,
                device=str(self.device),
            )
            return training, lambda: training.export().state()

        state = trainings.weights(
            f"unet-{name}",
            {**facts, "what": name, **terms},
            begin,
            self._batch,
            steps=self.size.unet_steps,
            stage=f"{self._said}: {name} U-Net",
        )
        return UNetRestorer.from_state(state, config.to_json(), device=str(self.device))

    @property
    def _said(self) -> str:
        return f"{self.classifier.model_id}, seed {self.seed}"

    def _batch(self, step: int) -> TrainingBatch:
        """What is shown in one step; the same to all three, so that they are comparable."""
        rows, seeds = self._rows(step)
        clean = self.data.batch(rows)
        return TrainingBatch(
            clean=clean,
            degraded=self._degrade(clean, seeds),
            labels=self.data.labels[rows],
            seeds=seeds,
        )

    def _rows(self, step: int) -> tuple[IntArray, IntArray]:
        """Positions and seeds of a step."""
        draw, n = np.random.default_rng([self.seed, step]), self.size.batch_size
        rows = self.splits.train[draw.integers(len(self.splits.train), size=n)]
        return rows, draw.integers(0, 2**62, n)

    def _autoencoder(self) -> AutoencoderRestorer:
        config, steps = AutoencoderConfig(), self.size.autoencoder_steps

        def begin() -> tuple[AutoencoderTraining, Callable[[], Mapping[str, Tensor]]]:
            training = AutoencoderTraining(
                config,
                AutoencoderOptions(steps=steps, batch_size=self.size.batch_size),
                recognise=self.classifier.logits_with_gradient,  # type: ignore[attr-defined]
                seed=self.seed,
                device=self.device,
            )
            return training, training.network.state_dict

        state = self._trainings(self.store).weights(
            "autoencoder",
            {**self.facts, "what": "autoencoder"},
            begin,
            self._batch,
            steps=steps,
            stage=f"{self._said}: autoencoder",
        )
        return AutoencoderRestorer.from_state(state, asdict(config), device=str(self.device))

    @cached_property
    def ceiling(self) -> Callable[[Tensor], IntArray]:
        """A copy of the classifier, tuned on restored *train* images; images -> labels."""
        tuned: Any = self.spec.build()
        network = tuned._network  # a classifier is frozen for everyone else
        restorer, steps = self.restorer(RESTORED), self.size.ceiling_steps

        def begin() -> tuple[Tuning, Callable[[], Mapping[str, Tensor]]]:
            tuning = Tuning(
                network.requires_grad_(True),
                tuned.logits_with_gradient,
                steps=steps,
                learning_rate=3e-4,
                device=tuned.device,
            )
            return tuning, network.state_dict

        def shown(step: int) -> Shown:
            batch = self._batch(step)
            images = restorer.restore(batch.degraded, seeds=batch.seeds).clone()
            return Shown(images, self.data.labels[self._rows(step)[0]])

        state = self._trainings(self.store).weights(
            "ceiling",
            {**self.facts, "what": "ceiling"},
            begin,
            shown,
            steps=steps,
            stage=f"{self._said}: ceiling",
        )
        network.load_state_dict(state)
        network.requires_grad_(False).eval()
        return lambda images: np.asarray(tuned.look(images).logits.argmax(axis=1))

    def right_at(self, sigma: float) -> Mapping[str, BoolArray]:
        """Whether each judged image is answered rightly, by condition, at Gaussian noise."""
        rows = self.splits.test[: self.size.sigma_images]

        def make() -> dict[str, np.ndarray]:
            self.progress.start(f"{self._said}: sigma {sigma}", len(rows))
            parts = [
                self._answers(p, sigma) for p in np.split(rows, range(_PIECE, len(rows), _PIECE))
            ]
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

        answers = self.store.arrays(f"sigma-{sigma}", {**self.facts, "sigma": sigma}, make)
        return {name: found == self.data.labels[rows] for name, found in answers.items()}

    def _answers(self, rows: IntArray, sigma: float) -> dict[str, IntArray]:
        seeds = seeds_for(self.seed, self.data.digests[rows], f"restoration/{sigma}")
        noisy = CORRUPTIONS["gaussian"].at(self.data.batch(rows), level=sigma, seeds=seeds)
        shown = {"noisy": noisy, "non-local means": non_local_means(noisy, sigma)}
        shown |= {name: r.restore(noisy, seeds=seeds).cpu() for name, r in self.restorers.items()}
        found = {
            name: np.asarray(self.classifier.look(images).logits.argmax(axis=1))
            for name, images in shown.items()
        }
        self.progress.advance(len(rows))
        return {**found, CEILING: self.ceiling(shown[RESTORED])}


def non_local_means(images: Tensor, sigma: float) -> Tensor:
    """Non-local means of scikit-image that is told the true sigma, shape unchanged."""
    cleaned = [
        denoise_nl_means(
            image.permute(1, 2, 0).numpy(),
            patch_size=3,
            patch_distance=7,
            h=0.6 * sigma,
            sigma=sigma,
            fast_mode=True,
            channel_axis=2,
        )
        for image in images
    ]
    stacked = torch.from_numpy(np.stack(cleaned).astype(np.float32))
    return stacked.permute(0, 3, 1, 2).clamp(0, 1).contiguous()
