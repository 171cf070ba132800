"""Trainings of the benchmark: one per mechanism and seed, resumable, kept when they are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.kept import Store, code_digest
from benchmarks.trainings import Trainings
from gatekeeper.progress import Progress, Silent
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers.noise_adaptation import (
    DenoiserConfig,
    NoiseAdaptationOptions,
    NoiseAdaptationTraining,
    synthetic_noise,
    unet_network,
)
from gatekeeper.restorers.unet import UNetConfig, UNetRestorer
from gatekeeper.types import IntArray

ARMS: dict[str, Mapping[str, Any]] = {
    "vanilla": {"diffusion": False},
    "full range": {"slot_swap": False, "negatives": False},
    "+ swap": {"negatives": False},
    "+ negatives": {},
}
"""What is switched off in each; the last is the whole method."""

WHOLE, VANILLA = "+ negatives", "vanilla"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a training is.

    Attributes:
        steps: Optimiser steps.
        batch_size: Images of each kind per step.
        patch_px: Side of the square crops.
        widths: Of the U-Net.
        denoiser: Of the diffusion network.
        highest_sigma: Of the synthetic noise; photographs are seldom noisier than the default.
        ramp_share: Share of the steps over which the diffusion loss gains weight.
        kept_every: Steps between two kept states.
    """

    steps: int = 1500
    batch_size: int = 8
    patch_px: int = 32
    widths: tuple[int, ...] = (16, 32, 64)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    highest_sigma: float = 25 / 255
    ramp_share: float = 0.3
    kept_every: int = 250

    def options(self, arm: str) -> NoiseAdaptationOptions:
        """The schedule with the arm's switches."""
        ramp_steps = max(1, round(self.ramp_share * self.steps))
        plain = NoiseAdaptationOptions(steps=self.steps, ramp_steps=ramp_steps)
        return replace(plain, **ARMS[arm])


QUICK = Size(
    steps=12,
    batch_size=4,
    patch_px=8,
    widths=(4, 8),
    denoiser=DenoiserConfig(width=4, multipliers=(1, 2), groups=2),
    kept_every=5,
)


@dataclass(frozen=True, slots=True)
class Images:
    """What a training is shown.

    Attributes:
        clean: Images (3, H, W).
        unlabelled: Images (3, H, W) of the camera.
        digest: Over all that the domain is.
        name: Of the domain, for people.
    """

    clean: Sequence[Tensor]
    unlabelled: Sequence[Tensor]
    digest: str
    name: str = "images"


def crops(images: Sequence[Tensor], seeds: IntArray, side: int) -> Tensor:
    """One square crop per seed, turned and mirrored as the seed draws, shape (B, 3, side, side)."""
    cut = []
    for seed in seeds:
        draw = np.random.default_rng(int(seed))
        image = images[int(draw.integers(len(images)))]
        down, right = (int(draw.integers(n - side + 1)) for n in image.shape[1:])
        crop = image[:, down : down + side, right : right + side]
        crop = torch.rot90(crop, int(draw.integers(4)), (1, 2))
        cut.append(crop.flip(2) if draw.random() < 0.5 else crop)
    return torch.stack(cut).contiguous()


def batch_of(images: Images, size: Size, seed: int, step: int) -> TrainingBatch:
    """What is shown in one step; the same for every arm, so that they are comparable."""
    seeds = np.random.default_rng([seed, step]).integers(0, 2**62, (3, size.batch_size))
    clean = crops(images.clean, seeds[0], size.patch_px)
    return TrainingBatch(
        clean=clean,
        degraded=synthetic_noise(clean, seeds[2], highest_sigma=size.highest_sigma),
        labels=None,
        seeds=seeds[2],
        unlabelled=crops(images.unlabelled, seeds[1], size.patch_px),
    )


def trained(
    images: Images,
    arm: str,
    seed: int,
    size: Size,
    folder: Path,
    progress: Progress | None = None,
) -> UNetRestorer:
    """The restorer of one training, from the disk or trained and kept.

    A training that was cut short goes on from its last kept state.

    Args:
        images: What it is shown.
        arm: A key of ``ARMS``.
        seed: Of initial weights, crops and noise.
        size: How large it is.
        folder: Where states and restorers are kept.
        progress: Told of the steps.
    """
    network = UNetConfig(size.widths)

    def begin() -> tuple[NoiseAdaptationTraining, Callable[[], Mapping[str, Tensor]]]:
        training = NoiseAdaptationTraining(
            size.options(arm),
            restorer=unet_network(network),
            denoiser=size.denoiser,
            seed=seed,
            device="cpu",
        )
        return training, lambda: training.export().state()

    state = Trainings(Store(folder), progress or Silent(), kept_every=size.kept_every).weights(
        f"{arm.replace('+ ', '').replace(' ', '-')}-{seed}",
        _facts(images, arm, seed, size),
        begin,
        lambda step: batch_of(images, size, seed, step),
        steps=size.steps,
        stage=f"{images.name}, {arm}, seed {seed}",
    )
    return UNetRestorer.from_state(state, network.to_json(), device="cpu")


def _facts(images: Images, arm: str, seed: int, size: Size) -> dict[str, Any]:
    return {
        "code": code_digest("benchmarks.noise_adaptation_runs"),
        "images": images.digest,
        "options": asdict(size.options(arm)),
        "size": asdict(size),
        "seed": seed,
    }
