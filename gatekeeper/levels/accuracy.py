"""The accuracy of a classifier at a level, on a fixed set of images with fixed noise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatekeeper.errors import DataError, InputError
from gatekeeper.images import Dataset, seeds_for
from gatekeeper.levels.distortion import DEFINITION, distort
from gatekeeper.levels.space import LevelSpace
from gatekeeper.protocols import Classifier
from gatekeeper.types import FloatArray, IntArray

_BATCH = 256
_PURPOSE = "levels/noise"


@dataclass(frozen=True, eq=False)
class FixedSet:
    """The images on which every level is judged.

    Attributes:
        images: Shape (N, 3, H, W), in [0, 1].
        labels: True classes, shape (N,).
        seeds: Of each image's noise, shape (N,).
        digest: sha256 over the images' digests, labels and seeds.

    Raises:
        InputError: there is no image, or not one label and seed for each.
    """

    images: Tensor
    labels: IntArray
    seeds: IntArray
    digest: str

    def __post_init__(self) -> None:
        """Refuse rows that do not line up."""
        if not len(self.images) or {len(self.labels), len(self.seeds)} != {len(self.images)}:
            raise InputError(
                f"expected one label and one seed per image, at least one, got {len(self.images)} "
                f"images, {len(self.labels)} labels and {len(self.seeds)} seeds"
            )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)


def fixed_set(
    data: Dataset, positions: IntArray, *, seed: int, n_images: int | None = None
) -> FixedSet:
    """Some images of a data set with the seeds of their noise.

    Args:
        data: The data set.
        positions: Which images.
        seed: The run's seed; an image's noise derives from it and from the image's digest.
        n_images: Draw that many of the positions, by the seed and the images' digests; None takes
            all of them.

    Raises:
        InputError: there are fewer than ``n_images``.
    """
    if n_images is not None:
        positions = _drawn(data, positions, n_images, seed)
    digests = data.digests[positions]
    seeds = seeds_for(seed, digests, _PURPOSE)
    labels = np.asarray(data.labels[positions])
    total = hashlib.sha256()
    for digest, label, own in zip(digests, labels, seeds, strict=True):
        total.update(f"{digest} {label} {own}\n".encode())
    return FixedSet(data.batch(positions), labels, seeds, total.hexdigest())


def _drawn(data: Dataset, positions: IntArray, n_images: int, seed: int) -> IntArray:
    if not 1 <= n_images <= len(positions):
        raise InputError(
            f"expected 1 to {len(positions)} images, which is what there is, got {n_images}"
        )
    order = np.argsort(seeds_for(seed, data.digests[positions], "levels/images"), kind="stable")
    return np.sort(positions[order[:n_images]])


class AccuracyOracle:
    """Counts right answers at a level; every level is evaluated once.

    Args:
        classifier: The frozen classifier.
        images: The fixed set.
        space: What the coordinates of a point mean.
        kept: File of finished levels (JSON lines), read and added to; None keeps none.
        device: Where images are distorted; None takes CUDA where there is any.

    Attributes:
        n_evaluated: Levels that this oracle evaluated itself; those that were kept cost nothing.

    Raises:
        DataError: the file holds levels of another classifier, other images or another space.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: FixedSet,
        space: LevelSpace,
        *,
        kept: Path | None = None,
        device: str | None = None,
    ) -> None:
        self.classifier, self.space = classifier, space
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._images = images.images.to(chosen)
        self._set = images
        self.n_evaluated = 0
        self._kept = kept
        self._finished: dict[tuple[float, ...], int] = {}
        if kept is not None:
            self._finished = _read(kept, self.identity) if kept.is_file() else {}

    @property
    def n_images(self) -> int:
        """Images that are looked at per level."""
        return len(self._set)

    @property
    def identity(self) -> str:
        """Hash of all that determines the accuracy at a level, given in its own units."""
        facts = {
            "classifier": self.classifier.digest,
            "images": self._set.digest,
            "coordinates": list(self.space.names),
            "definition": DEFINITION,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def n_correct(self, point: FloatArray) -> int:
        """Right answers at a point in unit coordinates, shape (dimension,), of ``n_images``."""
        level = self.space.named(point)
        key = tuple(level.values())
        if key not in self._finished:
            self._finished[key] = self._evaluate(level)
            self.n_evaluated += 1
            if self._kept is not None:
                _append(self._kept, self.identity, key, self._finished[key])
        return self._finished[key]

    def accuracy(self, point: FloatArray) -> float:
        """Share of right answers at a point in unit coordinates, in [0, 1]."""
        return self.n_correct(point) / self.n_images

    def _evaluate(self, level: dict[str, float]) -> int:
        right = 0
        for start in range(0, self.n_images, _BATCH):
            rows = slice(start, start + _BATCH)
            distorted = distort(self._images[rows], level, self._set.seeds[rows])
            answers = self.classifier.look(distorted).logits.argmax(axis=1)
            right += int((answers == self._set.labels[rows]).sum())
        return right


def counts_at(oracle: AccuracyOracle, points: Iterable[FloatArray]) -> IntArray:
    """Right answers at several points in unit coordinates, shape (M,)."""
    return np.array([oracle.n_correct(point) for point in points], dtype=np.int64)


def _append(path: Path, identity: str, level: tuple[float, ...], n_correct: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    line: dict[str, Any] = {"of": identity, "level": list(level), "n_correct": n_correct}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _read(path: Path, identity: str) -> dict[tuple[float, ...], int]:
    finished: dict[tuple[float, ...], int] = {}
    text = path.read_text(encoding="utf-8")
    # What follows the last line's end is a level that was cut short: it is evaluated again.
    complete, _, _ = text.rpartition("\n")
    for number, line in enumerate(complete.splitlines(), 1):
        try:
            entry = json.loads(line)
            of, level, n_correct = entry["of"], entry["level"], int(entry["n_correct"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"expected a finished level in line {number} of {path}, got {line[:80]!r}: "
                "remove the file and start afresh"
            ) from error
        if of != identity:
            raise DataError(
                f"expected in {path} levels of this classifier, these images and these "
                "coordinates, got those of others: name another folder, or leave out --resume"
            )
        finished[tuple(float(value) for value in level)] = n_correct
    if complete + "\n" != text and text:
        path.write_text(complete + "\n" if complete else "", encoding="utf-8")
    return finished
