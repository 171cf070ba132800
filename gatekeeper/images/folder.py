"""Images in files: one folder per class, on disk or in a zip archive."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch

from gatekeeper.errors import DataError, ImageError
from gatekeeper.images.cache import Pixels, cached_pixels
from gatekeeper.images.dataset import Dataset
from gatekeeper.images.decode import DEFAULT_LIMITS, decode_pixels
from gatekeeper.images.resize import fit_to

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
# Part of every cache key: to be raised when decoding or resizing gives other pixels than before.
_PIXELS_VERSION = "1"

_File = TypeVar("_File")


@dataclass(frozen=True, slots=True)
class Item:
    """One image file: where it is (for messages), its class, its part, how to read it."""

    place: str
    class_name: str
    in_test: bool
    read: Callable[[], bytes]


def load_folder(
    path: Path,
    *,
    image_size: tuple[int, int] | None,
    announce: Callable[[str], None],
    name: str | None = None,
    licence: str = "not stated: that of the folder's owner",
) -> Dataset:
    """One folder per class under ``path``, or under ``path/train`` and ``path/test``.

    Args:
        path: The folder.
        image_size: Height and width to bring every image to; needed where sizes differ.
        announce: Told which files are left out and that decoding takes a while.
        name: Name of the data set; that of the folder where it is None.
        licence: Licence of the data.

    Raises:
        DataError: no such folder, fewer than two classes, a file that cannot be decoded, a class
            that only the test part has, or images of differing sizes without ``image_size``.
    """
    if not path.is_dir():
        raise DataError(f"expected a folder with one folder per class, found none at {path}")
    if (path / "train").is_dir() and (path / "test").is_dir():
        items = list_folder(path / "train", in_test=False, announce=announce)
        items += list_folder(path / "test", in_test=True, announce=announce)
    else:
        items = list_folder(path, in_test=False, announce=announce)
    return dataset_of(
        items,
        identity=_digest(item.read() for item in items),
        name=name or path.resolve().name,
        licence=licence,
        source=f"The folder {path}.",
        image_size=image_size,
        announce=announce,
    )


def list_folder(folder: Path, *, in_test: bool, announce: Callable[[str], None]) -> list[Item]:
    """The image files of a folder that has one folder per class, sorted by name."""
    files = {
        file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()
    }
    return [
        Item(str(file), PurePosixPath(name).parts[0], in_test, file.read_bytes)
        for name, file in _images_only(files, str(folder), announce)
    ]


def list_zip(archive: ZipFile, *, in_test: bool, announce: Callable[[str], None]) -> list[Item]:
    """The image files of an open archive that has one folder per class, sorted by name.

    Raises:
        DataError: a member is larger than an image may be.
    """
    members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    items = []
    for name, info in _images_only(members, str(archive.filename), announce):
        place = f"{archive.filename}: {name}"
        # The archive's own list is believed: a member that is longer fails its checksum.
        if info.file_size > DEFAULT_LIMITS.max_bytes:
            raise DataError(f"{place} unpacks to more bytes than an image may have")
        read = partial(archive.read, info)
        items.append(Item(place, PurePosixPath(name).parts[0], in_test, read))
    return items


def dataset_of(
    items: Sequence[Item],
    *,
    identity: str,
    name: str,
    licence: str,
    source: str,
    image_size: tuple[int, int] | None,
    announce: Callable[[str], None],
) -> Dataset:
    """Decode the files, once: the pixels are kept in the product's cache.

    Args:
        items: The files.
        identity: Digest of their contents.
        name: Name of the data set.
        licence: Its licence.
        source: Where it was found.
        image_size: Height and width to bring every image to; needed where sizes differ.
        announce: Told that decoding takes a while.

    Raises:
        DataError: see :func:`load_folder`.
    """
    class_names = _class_names(items, source)
    size = image_size or _decoded(items[0]).shape[:2]
    key = hashlib.sha256(
        f"{_PIXELS_VERSION} {identity} {len(items)} {size[0]}x{size[1]}".encode()
    ).hexdigest()

    def decode() -> Iterator[Pixels]:
        announce(f"Decoding {len(items):,} images once; they are kept in the cache.")
        return (_at_size(item, size, fixed=image_size is not None) for item in items)

    return Dataset(
        name=name,
        images=cached_pixels(key, len(items), (size[0], size[1]), decode),
        labels=np.array([class_names.index(item.class_name) for item in items], dtype=np.int64),
        class_names=class_names,
        test_index=np.flatnonzero([item.in_test for item in items]).astype(np.int64),
        licence=licence,
        source=source,
    )


def _images_only(
    files: dict[str, _File], where: str, announce: Callable[[str], None]
) -> list[tuple[str, _File]]:
    """Files in a class folder with the suffix of an image; hidden ones are passed over."""
    kept, left_out = [], 0
    for name in sorted(files):
        path = PurePosixPath(name)
        if any(part.startswith(".") for part in path.parts):
            continue
        if len(path.parts) > 1 and path.suffix.lower() in _SUFFIXES:
            kept.append((name, files[name]))
        else:
            left_out += 1
    if left_out:
        announce(f"{where}: {left_out} files that are not images in a class folder are left out.")
    return kept


def _class_names(items: Sequence[Item], source: str) -> tuple[str, ...]:
    learnt = {item.class_name for item in items if not item.in_test}
    if len(learnt) < 2:
        raise DataError(
            f"expected one folder of images for each of at least two classes, got {len(learnt)}: "
            f"{source}"
        )
    unknown = {item.class_name for item in items} - learnt
    if unknown:
        raise DataError(
            f"expected the classes of the test part among those of the rest, got "
            f"{', '.join(sorted(unknown))} in addition: {source}"
        )
    return tuple(sorted(learnt))


def _digest(contents: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for content in contents:
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def _decoded(item: Item) -> Pixels:
    try:
        return decode_pixels(item.read())
    except ImageError as error:
        raise DataError(f"{item.place}: {error}") from error
    except (OSError, BadZipFile) as error:
        raise DataError(f"{item.place} cannot be read: {error}") from error


def _at_size(item: Item, size: Sequence[int], *, fixed: bool) -> Pixels:
    pixels = _decoded(item)
    if pixels.shape[:2] == tuple(size):
        return pixels
    if not fixed:
        raise DataError(
            f"expected images of one size, got {size[0]}×{size[1]} and {pixels.shape[0]}×"
            f"{pixels.shape[1]} (height×width, {item.place}): give an image size to bring all to"
        )
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div(255)
    fitted = fit_to(image, (size[0], size[1]))[0]
    return fitted.mul(255).round().byte().permute(1, 2, 0).numpy()
