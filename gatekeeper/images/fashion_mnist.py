"""Fashion-MNIST: 70,000 product photos, 28×28, ten classes, wherever this machine can get them."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import DataError
from gatekeeper.images.dataset import Dataset
from gatekeeper.images.debian import unpack_package
from gatekeeper.images.mirrors import download
from gatekeeper.paths import cache_dir

_SYSTEM = Path("/usr/share/datasets/fashion-mnist")
_PACKAGE = "dataset-fashion-mnist"
_PACKAGE_TIME_LIMIT_S = 60.0
_MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_MIRROR_TIME_LIMIT_S = 60.0
_CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True, slots=True)
class _IdxFile:
    """One of the four files; size and sha256 are of the unpacked content.

    The digest is not that of the gz file: another mirror may have packed the same bytes anew.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> int:
        return 4 + 4 * len(self.shape)

    @property
    def size(self) -> int:
        return self.header + int(np.prod(self.shape))


_FILES = (
    _IdxFile(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    _IdxFile(
        "train-labels-idx1-ubyte",
        (60_000,),
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    _IdxFile(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    _IdxFile(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


def search_fashion_mnist(announce: Callable[[str], None]) -> Dataset:
    """Fashion-MNIST from the first place that has it, with checked digests.

    In this order: the folder of Debian's package dataset-fashion-mnist; the product's cache; that
    package, fetched without root and unpacked into the cache; the mirror that torchvision uses.

    Args:
        announce: Told when something is fetched.

    Raises:
        DataError: no place has it; the message says why for each.
    """
    reasons = []
    for place, find in _places(announce):
        try:
            return _read(find())
        except DataError as error:
            reasons.append(f"{place}: {error}")
    raise DataError(f"Fashion-MNIST was found nowhere ({'; '.join(reasons)})")


def fashion_mnist_in(data_dir: Path) -> Dataset | None:
    """Fashion-MNIST from a folder with the four idx files, packed (.gz) or not.

    Args:
        data_dir: The folder, or one with torchvision's ``FashionMNIST/raw/`` in it.

    Returns:
        None where the folder does not have the files.

    Raises:
        DataError: there is no such folder, or its files have another content.
    """
    if not data_dir.is_dir():
        raise DataError(f"expected a folder with Fashion-MNIST, found none at {data_dir}")
    for folder in (data_dir, data_dir / "FashionMNIST" / "raw"):
        if all(_packed_or_not(folder, file) for file in _FILES):
            return _read(folder)
    return None


def _places(announce: Callable[[str], None]) -> list[tuple[str, Callable[[], Path]]]:
    """Where to look, in order; each finder returns a folder or raises DataError."""
    return [
        ("system folder", lambda: _SYSTEM),
        ("cache", _cached),
        ("Debian package", lambda: _from_debian(announce)),
        ("mirror", lambda: _from_mirror(announce)),
    ]


def _cached() -> Path:
    return cache_dir() / "fashion-mnist"


def _from_debian(announce: Callable[[str], None]) -> Path:
    announce(f"Fetching Fashion-MNIST (31 MB) as Debian's package {_PACKAGE} into the cache.")
    wanted = tuple(f"{file.name}.gz" for file in _FILES)
    unpack_package(_PACKAGE, wanted, _cached(), time_limit_s=_PACKAGE_TIME_LIMIT_S)
    return _cached()


def _from_mirror(announce: Callable[[str], None]) -> Path:
    announce("Fetching Fashion-MNIST (31 MB) from torchvision's mirror into the cache.")
    wanted = tuple(f"{file.name}.gz" for file in _FILES)
    download(_MIRROR, wanted, _cached(), time_limit_s=_MIRROR_TIME_LIMIT_S)
    return _cached()


def _packed_or_not(folder: Path, file: _IdxFile) -> Path | None:
    for path in (folder / f"{file.name}.gz", folder / file.name):
        if path.is_file():
            return path
    return None


def _read(folder: Path) -> Dataset:
    arrays = [_read_idx(folder, file) for file in _FILES]
    return Dataset(
        name="fashion-mnist",
        images=np.concatenate([arrays[0], arrays[2]]),
        labels=np.concatenate([arrays[1], arrays[3]]).astype(np.int64),
        class_names=_CLASS_NAMES,
        test_index=np.arange(len(arrays[0]), len(arrays[0]) + len(arrays[2]), dtype=np.int64),
        licence="MIT (Zalando SE)",
        source=f"The folder {folder}.",
    )


def _read_idx(folder: Path, file: _IdxFile) -> npt.NDArray[np.uint8]:
    path = _packed_or_not(folder, file)
    if path is None:
        raise DataError(f"no {file.name} in {folder}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened:
            content = opened.read(file.size + 1)  # never more: the file may not be what it says
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise DataError(f"{path} does not have the digest of Fashion-MNIST")
    return np.frombuffer(content, dtype=np.uint8, offset=file.header).reshape(file.shape)
