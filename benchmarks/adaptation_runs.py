"""Cells of the benchmark of adaptation: a champion, challengers per seed, a real camera's noise.

The champion is fitted to synthetic corruptions. The traffic is photographed by a synthetic camera
that the champion has never seen: images without labels, and a random labelled sample. Everything
is kept under the hash of what determines it, so that a run that was cut short goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.noise_adaptation_data import Domain
from gatekeeper.adaptation import Champion, adapt
from gatekeeper.adaptation.captured import UNLABELLED, Captured, Pixels
from gatekeeper.adaptation.recipe import AdaptationRecipe, AdaptedRestorer, Recognition
from gatekeeper.adaptation.refitting import Traffic, TwoSources
from gatekeeper.adaptation.restorer import adapted_restorer
from gatekeeper.adaptation.run import Adapted
from gatekeeper.bundle import ClassifierSpec, FittedGate
from gatekeeper.corruptions import CORRUPTIONS, SEVERITIES
from gatekeeper.evaluation import final_correct, replay
from gatekeeper.evidence import TableBuilder
from gatekeeper.fitting import Fitter
from gatekeeper.fitting.policy import certify
from gatekeeper.gate import Gate
from gatekeeper.images import Dataset, Splits, image_digests, make_splits, seeds_for
from gatekeeper.judging import Judged, judge
from gatekeeper.metrics import psnr
from gatekeeper.progress import Progress
from gatekeeper.protocols import Classifier, Restorer
from gatekeeper.recipe import Recipe, parse_recipe
from gatekeeper.restorers import RESTORERS
from gatekeeper.training.sources import FolderImages
from gatekeeper.types import FloatArray, IntArray

SEEN = ("gaussian", "impulse", "gaussian_blur", "dark")
"""What the champion is fitted to; nothing of the camera's families is in it."""

_TILE_PX = 32
_TILES = 16
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the study is.

    Attributes:
        splits: Of the champion; what is left of the data is traffic.
        captured: Unlabelled images of the traffic; the rest of it is the labelled sample.
        restorer: What is adapted.
        recognition: What it learns from labels afterwards.
        predictor: Of both gates.
        policy: Of both gates.
        judged: Most *test* images that judge.
        shares: How the labelled sample is dealt out.
    """

    splits: Mapping[str, int]
    captured: int
    restorer: Mapping[str, Any]
    recognition: Mapping[str, Any]
    predictor: Mapping[str, Any]
    policy: Mapping[str, Any]
    judged: int
    shares: Mapping[str, float]


FULL = Size(
    # train and validation are those of the classifier's record: what is drawn first stays the same.
    splits={
        "train": 30_000, "validation": 2_500, "fit": 3_500, "calibrate": 2_000, "certify": 3_500,
    },
    captured=3_500,
    restorer={
        "training": {"steps": 2_000, "batch_size": 8, "crop_px": 32, "checkpoint_every": 250},
        "network": {"unet": {"widths": [16, 32, 64]}},
        "objective": {"ramp_steps": 600},
    },
    recognition={},
    predictor={"hidden": 64, "members": 2, "epochs": 8, "looks_per_image": 2},
    policy={"target_risk": 0.1},
    judged=5_000,
    shares={"learn": 0.3, "calibrate": 0.25, "certify": 0.4},
)  # fmt: skip

QUICK = Size(
    splits={
        "train": 2_000, "validation": 100, "fit": 600, "calibrate": 500, "certify": 500,
        "test": 300,
    },
    captured=300,
    restorer={
        "training": {"steps": 6, "batch_size": 2, "crop_px": 8, "checkpoint_every": 250},
        "network": {
            "unet": {"widths": [4, 8]},
            "denoiser": {"width": 4, "multipliers": [1, 2], "groups": 2},
        },
        "objective": {"ramp_steps": 2},
    },
    recognition={"steps": 3, "batch_size": 4, "least_labels": 20},
    predictor={"hidden": 16, "members": 1, "epochs": 2, "looks_per_image": 2},
    policy={"target_risk": 0.15},
    judged=300,
    shares={"learn": 0.3, "calibrate": 0.25, "certify": 0.35},
)  # fmt: skip


def fit_recipe(dataset: str, size: Size) -> Recipe:
    """The champion's recipe: restorers without weights, so that it is fitted in minutes."""
    body = {
        "name": "camera-study",
        "classifier": {"kind": "module"},
        "data": {"dataset": dataset, "splits": dict(size.splits)},
        "conditions": {"seen": list(SEEN), "held_out": []},
        "restorers": {"restorer_of": {"impulse": "median", "dark": "exposure"}, "steps": 0},
        "predictor": dict(size.predictor),
        "policy": dict(size.policy),
    }
    return parse_recipe(body, source="benchmark", folder=Path())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """What is adapted, and where finished parts lie.

    Attributes:
        data: The data set.
        splits: Of the champion.
        recipe: Its recipe.
        spec: How to rebuild the classifier.
        classifier: The frozen classifier.
        size: How large the study is.
        work: Folder of trainings and cells.
        progress: Told of the stages.
    """

    data: Dataset
    splits: Splits
    recipe: Recipe
    spec: ClassifierSpec
    classifier: Classifier
    size: Size
    work: Path
    progress: Progress

    def builder(self) -> TableBuilder:
        """Makes evidence with the champion's restorers."""
        restorers: dict[str, Restorer] = {n: RESTORERS[n]() for n in ("median", "exposure")}
        return TableBuilder(
            self.data, self.classifier, restorers, cache=self.work / "cells", progress=self.progress
        )


def splits_of(data: Dataset, size: Size) -> Splits:
    """The champion's splits."""
    return make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=size.splits, seed=0
    )


def champion_of(subject: Subject) -> Champion:
    """Fit the champion; its evidence is kept, so that only the first time takes minutes."""
    builder = subject.builder()
    fitted = (
        Fitter(
            subject.data,
            subject.splits,
            subject.spec,
            subject.classifier,
            builder.restorers,
            subject.recipe,
            builder=builder,
        )
        .run()
        .fitted
    )
    return Champion(
        directory=Path(), fitted=fitted, identity="0" * 64, used=np.array([], dtype="<U64")
    )


def photographed(data: Dataset, positions: IntArray, seed: int, purpose: str) -> Pixels:
    """Images as the synthetic camera takes them, severities evenly, uint8 (N, H, W, 3)."""
    seeds = seeds_for(seed, data.digests[positions], f"adaptation/{purpose}")
    severities = np.array(SEVERITIES)[seeds % len(SEVERITIES)]
    made = []
    for start in range(0, len(positions), _CHUNK):
        rows = slice(start, start + _CHUNK)
        severity = torch.from_numpy(severities[rows]).double()
        images = CORRUPTIONS["camera"].at_severity(
            data.batch(positions[rows]), severity=severity, seeds=seeds[rows]
        )
        made.append(_pixels(images))
    return np.concatenate(made)


def _pixels(images: Tensor) -> Pixels:
    return np.asarray((images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy())


def challenge(subject: Subject, champion: Champion, seed: int) -> tuple[Adapted, Traffic]:
    """Adapt to the camera's traffic: unlabelled images, and a random labelled sample.

    Returns:
        The adaptation, and its traffic.
    """
    positions = _left_over(subject)
    order = np.argsort(seeds_for(seed, subject.data.digests[positions], "traffic"), kind="stable")
    shuffled = positions[order]
    unlabelled, labelled = shuffled[: subject.size.captured], shuffled[subject.size.captured :]
    pixels = photographed(subject.data, unlabelled, seed, "captured")
    digests = image_digests(pixels)
    captured = Captured(
        images=pixels,
        digests=digests,
        kinds=np.full(len(digests), "", dtype="<U9"),
        labels=np.full(len(digests), UNLABELLED),
        probabilities=np.ones(len(digests)),
        bundles=np.full(len(digests), "", dtype="<U64"),
        source="a synthetic camera",
    )
    sample = Dataset(
        name="sample",
        images=photographed(subject.data, labelled, seed, "sample"),
        labels=subject.data.labels[labelled],
        class_names=subject.data.class_names,
        test_index=np.arange(0),
        licence=subject.data.licence,
        source="a synthetic camera",
    )
    recipe = AdaptationRecipe(
        fit="benchmark",
        seed=seed,
        restorer=AdaptedRestorer.model_validate(subject.size.restorer),
        recognition=Recognition.model_validate(subject.size.recognition),
        shares=dict(subject.size.shares),  # type: ignore[arg-type]  # pydantic reads a mapping
    )
    adapted = adapt(
        champion,
        subject.data,
        captured,
        recipe,
        subject.recipe,
        sample=sample,
        work=subject.work,
        progress=subject.progress,
    )
    return adapted, adapted.dealt.traffic


def _left_over(subject: Subject) -> IntArray:
    """Distinct images in none of the champion's splits, nor in the official test part."""
    data, splits = subject.data, subject.splits
    used = np.concatenate(
        [splits[n] for n in ("train", "validation", "fit", "calibrate", "certify", "test")]
    )
    taken = np.concatenate([data.digests[used], data.digests[data.test_index]])
    _, first = np.unique(data.digests, return_index=True)
    return np.sort(first[~np.isin(data.digests[first], taken)])


def outcome_of(subject: Subject, champion: Champion, seed: int) -> dict[str, FloatArray]:
    """Both gates on *test* images of the camera: who is right, and who accepts at certified points.

    The champion's thresholds are certified anew on the same sample as the challenger's, so that
    both certificates speak of the same traffic.

    Returns:
        Arrays of one value per image: ``GATE_right`` (final answer as deployed), ``GATE_accepts``
        and ``GATE_wrong`` (accepted, and accepted and wrong, at certified thresholds; all 0 where
        nothing could be certified), ``GATE_raw_right`` and ``GATE_score``.
    """
    adapted, traffic = challenge(subject, champion, seed)
    rows = subject.splits.test[: subject.size.judged]
    judged_on = Dataset(
        name="judged",
        images=photographed(subject.data, rows, seed, "judged"),
        labels=subject.data.labels[rows],
        class_names=subject.data.class_names,
        test_index=np.arange(0),
        licence=subject.data.licence,
        source="a synthetic camera",
    )
    found: dict[str, FloatArray] = {}
    for name, fitted in (("champion", champion.fitted), ("challenger", adapted.challenger)):
        gate = fitted.gate
        if name == "champion":
            gate, certified = _certified_again(subject, fitted, traffic)
        else:
            certified = bool(fitted.certificate["certified"])
        judged = _attempts(subject, fitted, judged_on)
        replayed = gate.replay(judged.raw_reliability, judged.restored_reliability)
        accepts = replayed.accepted & certified
        wrong = accepts & ~final_correct(judged, replayed)
        # What the gate answers as it is deployed: for the champion at its old thresholds.
        right = final_correct(judged, replay(fitted, judged))
        found |= {
            f"{name}_right": right.astype(np.float64),
            f"{name}_accepts": accepts.astype(np.float64),
            f"{name}_wrong": wrong.astype(np.float64),
            f"{name}_score": judged.raw_score.astype(np.float64),
            f"{name}_raw_right": judged.raw_correct.astype(np.float64),
        }
    return found


def _attempts(subject: Subject, fitted: FittedGate, images: Dataset) -> Judged:
    builder = TableBuilder(
        images, subject.classifier, fitted.restorers, cache=subject.work / "cells"
    )
    every = np.arange(len(images))
    plan = _as_traffic(images).plan("judge", every, seed=subject.recipe.seed)
    doubt_below = subject.recipe.policy.doubt_below
    return judge(fitted, builder.raw(plan), builder, doubt_below=doubt_below)


def _as_traffic(images: Dataset) -> Traffic:
    nothing = np.arange(0)
    return Traffic(
        data=images, seen=nothing, learn=nothing, calibrate=nothing, certify=nothing,
        judge=np.arange(len(images)), draws=nothing,
    )  # fmt: skip


def _certified_again(subject: Subject, fitted: FittedGate, traffic: Traffic) -> tuple[Gate, bool]:
    builder = TwoSources(subject.builder(), traffic.data)
    doubt_below = subject.recipe.policy.doubt_below
    calibrate, held = (
        judge(
            fitted,
            builder.raw(traffic.plan(part, getattr(traffic, part), seed=subject.recipe.seed)),
            builder,
            doubt_below=doubt_below,
        )
        for part in ("calibrate", "certify")
    )
    gate, verdict = certify(calibrate, held, fitted.gate.switch_margin, subject.recipe.policy)
    return gate, verdict.certified


def real_noise(
    domain: Domain, size: Size, classifier: Classifier, seed: int, work: Path, progress: Progress
) -> dict[str, FloatArray]:
    """A restorer adapted to a real camera, on its judged images.

    Returns:
        Arrays of one value per judged image: ``psnr_before``, ``psnr_after`` in dB, and
        ``agrees_before``, ``agrees_after``: share of its tiles of 32 px on which the classifier
        answers as on the clean capture.
    """
    restorer = adapted_restorer(
        _folder(domain.clean),
        _folder(domain.unlabelled),
        AdaptedRestorer.model_validate(size.restorer),
        seed=seed,
        work=work,
        progress=progress,
    )
    found: dict[str, list[float]] = {
        key: [] for key in ("psnr_before", "psnr_after", "agrees_before", "agrees_after")
    }
    for noisy, truth in zip(domain.noisy, domain.truth, strict=True):
        restored = restorer.restore(noisy[None], seeds=np.zeros(1, dtype=np.int64))[0].cpu()
        answers = classifier.look(tiles(truth)).logits.argmax(axis=1)
        for when, image in (("before", noisy), ("after", restored)):
            found[f"psnr_{when}"].append(psnr(image.numpy(), truth.numpy()))
            given = classifier.look(tiles(image)).logits.argmax(axis=1)
            found[f"agrees_{when}"].append(float((given == answers).mean()))
    return {key: np.array(values) for key, values in found.items()}


def tiles(image: Tensor) -> Tensor:
    """Evenly spread squares of 32 px of one image (3, H, W), at most 16, shape (T, 3, 32, 32)."""
    height, width = image.shape[1:]
    per_side = int(_TILES**0.5)
    tops = np.unique(np.linspace(0, height - _TILE_PX, per_side).astype(int))
    lefts = np.unique(np.linspace(0, width - _TILE_PX, per_side).astype(int))
    return torch.stack(
        [
            image[:, t : t + _TILE_PX, c : c + _TILE_PX]
            for t in tops.tolist()
            for c in lefts.tolist()
        ]
    )


def _folder(images: Sequence[Tensor]) -> FolderImages:
    pixels = [_pixels(image[None])[0] for image in images]
    distinct = {str(image_digests(one[None])[0]): one for one in pixels}
    return FolderImages(list(distinct.values()), np.array(list(distinct)))
