"""Where the images of a restorer's training come from: a data set's split, or a folder.

An image's crop depends on its own seed, and which images a step sees depends on the number of the
step alone: a training that was cut short goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gatekeeper.corruptions.randomness import uniform
from gatekeeper.errors import DataError, ImageError, InputError
from gatekeeper.images import Dataset, decode_pixels, image_digests, seeds_for
from gatekeeper.types import IntArray, StrArray

Pixels = npt.NDArray[np.uint8]

_SUFFIXES = {".jpeg", ".jpg", ".png", ".webp"}
_MOST_BYTES = 4 * 2**30
_CROP_STREAM = 9001  # of an image's seed; corruptions use small numbers


class Images(Protocol):
    """N images that crops are taken from."""

    @property
    def digests(self) -> StrArray:
        """Identity of each image, shape (N,)."""
        ...

    @property
    def labels(self) -> IntArray | None:
        """True class of each image, shape (N,), or None."""
        ...

    def take(self, rows: IntArray) -> Images:
        """Some of the images, by position."""
        ...

    def crops(self, rows: IntArray, seeds: IntArray, *, side: int | None, flips: bool) -> Tensor:
        """Random crops of some images.

        Args:
            rows: Positions, shape (B,).
            seeds: One per crop, shape (B,).
            side: Height and width of the crops, in pixels; None for whole images of one size.
            flips: Whether half of them are mirrored left to right.

        Returns:
            Shape (B, 3, side, side), float32, in [0, 1].
        """
        ...

    def centres(self, rows: IntArray, *, side: int | None) -> Tensor:
        """The middle of some images, for judging; arguments and shape as in :meth:`crops`."""
        ...


class DatasetImages:
    """Some positions of a labelled data set.

    Args:
        data: The data set.
        positions: Those that are used, shape (N,).
    """

    def __init__(self, data: Dataset, positions: IntArray) -> None:
        self._data, self._positions = data, positions

    @property
    def digests(self) -> StrArray:
        """Identity of each image, shape (N,)."""
        return self._data.digests[self._positions]

    @property
    def labels(self) -> IntArray | None:
        """True class of each image, shape (N,)."""
        return self._data.labels[self._positions]

    def take(self, rows: IntArray) -> DatasetImages:
        """Some of the images, by position."""
        return DatasetImages(self._data, self._positions[rows])

    def crops(self, rows: IntArray, seeds: IntArray, *, side: int | None, flips: bool) -> Tensor:
        """Random crops; see :class:`Images`."""
        images = self._data.batch(self._positions[rows])
        pairs = zip(images, _draws(seeds), strict=True)
        return _stacked([_crop(image, draws, side, flips) for image, draws in pairs])

    def centres(self, rows: IntArray, *, side: int | None) -> Tensor:
        """The middle of some images; see :class:`Images`."""
        return _stacked([_centre(i, side) for i in self._data.batch(self._positions[rows])])


class FolderImages:
    """Decoded images of any sizes, without classes.

    Args:
        pixels: uint8, each (H, W, 3).
        digests: Identity of each, shape (N,).
    """

    def __init__(self, pixels: list[Pixels], digests: StrArray) -> None:
        self._pixels, self._digests = pixels, digests

    @property
    def digests(self) -> StrArray:
        """Identity of each image, shape (N,)."""
        return self._digests

    @property
    def labels(self) -> IntArray | None:
        """None: a folder has no classes."""
        return None

    def take(self, rows: IntArray) -> FolderImages:
        """Some of the images, by position."""
        return FolderImages([self._pixels[row] for row in rows.tolist()], self._digests[rows])

    def crops(self, rows: IntArray, seeds: IntArray, *, side: int | None, flips: bool) -> Tensor:
        """Random crops; see :class:`Images`."""
        pairs = zip(rows.tolist(), _draws(seeds), strict=True)
        return _stacked([_crop(_tensor(self._pixels[row]), d, side, flips) for row, d in pairs])

    def centres(self, rows: IntArray, *, side: int | None) -> Tensor:
        """The middle of some images; see :class:`Images`."""
        return _stacked([_centre(_tensor(self._pixels[row]), side) for row in rows.tolist()])


def read_folder(folder: Path, announce: Callable[[str], None] = lambda line: None) -> FolderImages:
    """All images below a folder, each distinct one once.

    Args:
        folder: Holds JPEG, PNG or WebP files, in subfolders or not.
        announce: Told how many were read.

    Raises:
        DataError: there is no image, one cannot be decoded, or they need more than 4 GiB.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise DataError(f"expected images (JPEG, PNG or WebP) below {folder}, got none")
    found: dict[str, Pixels] = {}
    n_bytes = 0
    for path in files:
        try:
            pixels = decode_pixels(path.read_bytes())
        except ImageError as error:
            raise DataError(f"{path}: {error}") from error
        digest = str(image_digests(pixels[None])[0])
        n_bytes += 0 if digest in found else pixels.nbytes
        found[digest] = pixels
        if n_bytes > _MOST_BYTES:
            raise DataError(
                f"expected images that take at most 4 GiB when decoded, got more below {folder}: "
                "cut them into pieces and keep some"
            )
    announce(f"{len(found):,} images of {folder}, {n_bytes / 2**20:.0f} MiB.")
    digests = np.array(sorted(found))
    return FolderImages([found[digest] for digest in digests.tolist()], digests)


class Order:
    """Which images a step sees: pass after pass over all of them, each pass newly shuffled.

    Args:
        digests: Identity of each image, shape (N,).
        batch_size: Images per step.
        seed: Of the run.
        purpose: Different purposes give independent orders and seeds.
    """

    def __init__(self, digests: StrArray, batch_size: int, *, seed: int, purpose: str) -> None:
        if not len(digests):
            raise InputError("expected at least one image to train on, got none")
        self._digests, self._batch_size = digests, batch_size
        self._seed, self._purpose = seed, purpose
        self._shuffled: tuple[int, IntArray, IntArray] | None = None

    def step(self, number: int) -> tuple[IntArray, IntArray]:
        """Positions and seeds of a step, both shape (batch_size,); the first step is 0."""
        n = len(self._digests)
        start = number * self._batch_size
        rows: list[int] = []
        seeds: list[int] = []
        while len(rows) < self._batch_size:
            number_of_pass, place = divmod(start + len(rows), n)
            order, own = self._pass(number_of_pass)
            here = slice(place, place + self._batch_size - len(rows))
            rows.extend(order[here].tolist())
            seeds.extend(own[here].tolist())
        return np.array(rows, dtype=np.int64), np.array(seeds, dtype=np.int64)

    def _pass(self, number: int) -> tuple[IntArray, IntArray]:
        if self._shuffled is None or self._shuffled[0] != number:
            seeds = seeds_for(self._seed, self._digests, f"{self._purpose} {number}")
            # Sorted by the seeds themselves: another shuffle in each pass.
            order = np.argsort(seeds, kind="stable")
            self._shuffled = (number, order, seeds[order])
        return self._shuffled[1], self._shuffled[2]


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).float().div(255)


def _draws(seeds: IntArray) -> list[list[float]]:
    found: list[list[float]] = uniform(seeds, 3, stream=_CROP_STREAM).tolist()
    return found


def _crop(image: Tensor, draws: list[float], side: int | None, flips: bool) -> Tensor:
    down, right, flip = draws
    if side is not None:
        height, width = _room(image, side)
        top, left = int(down * (height + 1)), int(right * (width + 1))
        image = image[:, top : top + side, left : left + side]
    return image.flip(2) if flips and flip < 0.5 else image


def _centre(image: Tensor, side: int | None) -> Tensor:
    if side is None:
        return image
    height, width = _room(image, side)
    top, left = height // 2, width // 2
    return image[:, top : top + side, left : left + side]


def _room(image: Tensor, side: int) -> tuple[int, int]:
    height, width = image.shape[1:]
    if min(height, width) < side:
        raise DataError(
            f"expected images of at least {side} px per side, got one of {height}×{width}: set "
            "training.crop_px lower, or leave it out"
        )
    return height - side, width - side


def _stacked(images: list[Tensor]) -> Tensor:
    sizes = {tuple(image.shape[1:]) for image in images}
    if len(sizes) > 1:
        raise DataError(
            "expected images of one size, got "
            f"{' and '.join('×'.join(map(str, size)) for size in sorted(sizes)[:2])}: set "
            "training.crop_px"
        )
    return torch.stack(images)
