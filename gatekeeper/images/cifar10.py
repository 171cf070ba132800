"""CIFAR-10 in the three layouts that people have it in."""

from __future__ import annotations

import hashlib
import pickletools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from gatekeeper.errors import DataError
from gatekeeper.images.cache import Pixels
from gatekeeper.images.dataset import Dataset
from gatekeeper.images.folder import dataset_of, list_zip, load_folder
from gatekeeper.types import IntArray

_NAME = "cifar10"
_CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_LICENCE = "no licence stated; published for research (Krizhevsky 2009)"
_TORCHVISION = "cifar-10-batches-py"
_TRAIN_ZIP, _TEST_ZIP = "cifar10-train.zip", "cifar10-test-dev.zip"


def load_cifar10(path: Path, *, announce: Callable[[str], None]) -> Dataset:
    """CIFAR-10 from a folder: torchvision's layout, two zip archives, or train/ and test/.

    Args:
        path: Holds ``cifar-10-batches-py/`` (or is it), or ``cifar10-train.zip`` and
            ``cifar10-test-dev.zip`` (one folder per class in each), or ``train/`` and ``test/``.
        announce: Told that decoding takes a while.

    Raises:
        DataError: none of the three is there, or what is there cannot be read.
    """
    for folder in (path / _TORCHVISION, path):
        if (folder / "data_batch_1").is_file():
            return _load_batches(folder)
    if (path / _TRAIN_ZIP).is_file() and (path / _TEST_ZIP).is_file():
        return _load_zips(path, announce)
    if (path / "train").is_dir() and (path / "test").is_dir():
        return load_folder(
            path, image_size=(32, 32), announce=announce, name=_NAME, licence=_LICENCE
        )
    raise DataError(
        f"expected {_TORCHVISION}/, or {_TRAIN_ZIP} and {_TEST_ZIP}, or train/ and test/ in "
        f"{path}, found none of them"
    )


def _load_zips(path: Path, announce: Callable[[str], None]) -> Dataset:
    with ExitStack() as opened:
        identity = hashlib.sha256()
        items = []
        for name, in_test in ((_TRAIN_ZIP, False), (_TEST_ZIP, True)):
            try:
                identity.update(hashlib.sha256((path / name).read_bytes()).digest())
                archive = opened.enter_context(ZipFile(path / name))
            except (OSError, BadZipFile) as error:
                raise DataError(f"{path / name} cannot be read: {error}") from error
            items += list_zip(archive, in_test=in_test, announce=announce)
        return dataset_of(
            items,
            identity=identity.hexdigest(),
            name=_NAME,
            licence=_LICENCE,
            source=f"{_TRAIN_ZIP} and {_TEST_ZIP} in {path}.",
            image_size=None,
            announce=announce,
        )


def _load_batches(folder: Path) -> Dataset:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    batches = [read_batch(folder / name) for name in names]
    labels = np.concatenate([labels for _, labels in batches])
    n_test = len(batches[-1][1])
    return Dataset(
        name=_NAME,
        images=np.concatenate([images for images, _ in batches]),
        labels=labels,
        class_names=_CLASS_NAMES,
        test_index=np.arange(len(labels) - n_test, len(labels), dtype=np.int64),
        licence=_LICENCE,
        source=f"The folder {folder}.",
    )


# --- torchvision's files ------------------------------------------------------------------------
# They are pickles that Python 2 wrote. Loading a pickle runs whatever it says, so these are taken
# apart instead: `pickletools.genops` lists the operations and runs none. What is looked for is the
# one long string of pixels under "data" and the integers of the list under "labels".

_PIXELS_PER_IMAGE = 3 * 32 * 32
_STRINGS = frozenset({"BINSTRING", "SHORT_BINSTRING"})
_LIST = frozenset({"APPENDS", "BINPUT", "EMPTY_LIST", "LONG_BINPUT", "MARK"})

_Operation = tuple[str, Any]


def read_batch(path: Path) -> tuple[Pixels, IntArray]:
    """Images (N, 32, 32, 3) and labels (N,) of one file in torchvision's layout; nothing is run.

    Raises:
        DataError: the file is missing or not built like a batch of CIFAR-10.
    """
    try:
        content = path.read_bytes()
        operations = [(op.name, argument) for op, argument, _ in pickletools.genops(content)]
    except (OSError, ValueError) as error:
        raise DataError(f"expected a batch of CIFAR-10 at {path}: {error}") from error
    labels = _labels(operations)
    pixels = _pixels(operations, len(labels) * _PIXELS_PER_IMAGE)
    if not labels or pixels is None or max(labels) >= len(_CLASS_NAMES):
        raise DataError(
            f"expected a batch of CIFAR-10 at {path}, got a file that is built in another way: "
            "unpack cifar-10-python.tar.gz again"
        )
    planes = np.frombuffer(pixels, dtype=np.uint8).reshape(-1, 3, 32, 32)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return images, np.array(labels, dtype=np.int64)


def _bytes_of(operation: _Operation) -> bytes | None:
    """The bytes of a string; pickletools shows them as Latin-1 text, which loses nothing."""
    name, argument = operation
    return str(argument).encode("latin-1") if name in _STRINGS else None


def _after_key(operations: list[_Operation], key: bytes) -> Iterator[_Operation]:
    starts = (at for at, operation in enumerate(operations) if _bytes_of(operation) == key)
    return chain.from_iterable(operations[at + 1 :] for at in starts)


def _labels(operations: list[_Operation]) -> list[int]:
    labels: list[int] = []
    for name, argument in _after_key(operations, b"labels"):
        if name == "BININT1":
            labels.append(argument)
        elif name not in _LIST:
            break
    return labels


def _pixels(operations: list[_Operation], length: int) -> bytes | None:
    """The string of that length under "data", in an array stored row by row."""
    for operation in _after_key(operations, b"data"):
        if operation[0] == "NEWTRUE":  # column by column: not as CIFAR-10 was published
            return None
        content = _bytes_of(operation)
        if content is not None and len(content) == length:
            return content
    return None
