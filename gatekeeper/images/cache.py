"""Decoded pixels kept on disk, so that tens of thousands of files are decoded once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap

from gatekeeper.errors import DataError
from gatekeeper.paths import cache_dir

Pixels = npt.NDArray[np.uint8]


def cached_pixels(
    key: str, count: int, size: tuple[int, int], decode: Callable[[], Iterable[Pixels]]
) -> Pixels:
    """The pixels stored under ``key``, decoded first where they are not there yet.

    Args:
        key: Digest of all that determines the pixels: the files and the size.
        count: Number of images.
        size: Height and width.
        decode: Yields one (H, W, 3) image after the other; called only where needed.

    Returns:
        Shape (count, H, W, 3), uint8, read-only, mapped from disk.

    Raises:
        DataError: the cache cannot be written.
    """
    path = cache_dir() / "pixels" / f"{key}.npy"
    shape = (count, *size, 3)
    stored = _stored(path, shape)
    if stored is None:
        _store(path, shape, decode())
        stored = _stored(path, shape)
    if stored is None:
        raise DataError(f"expected decoded images at {path}, which vanished: run again")
    return stored


def _stored(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    if not path.is_file():
        return None
    try:
        pixels: Pixels = open_memmap(path, mode="r")  # refuses arrays of objects
    except (EOFError, OSError, ValueError):
        return None  # cut short or overwritten: a cache is made again
    return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None


def _store(path: Path, shape: tuple[int, ...], images: Iterable[Pixels]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and renamed: an interrupted run leaves no half file under the key.
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            aside = Path(folder) / "pixels.npy"
            pixels = open_memmap(aside, mode="w+", dtype=np.uint8, shape=shape)
            for row, image in enumerate(images):
                pixels[row] = image
            pixels.flush()
            aside.replace(path)
    except OSError as error:
        raise DataError(
            f"decoded images could not be stored at {path} ({error.strerror}): free some space "
            "or set GATEKEEPER_HOME to another folder"
        ) from error
