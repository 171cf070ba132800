"""What a batch is made of: a folder, a zip archive or a list of paths, always in one order."""

from __future__ import annotations

import csv
import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gatekeeper.batch.references import FileReference, MemberReference, Reference, members_of
from gatekeeper.errors import DataError, InputError

# Formats that the decoder refuses are listed, too: a picture that nobody can decide is to show up
# as a row with its error, not to be missing.
_PICTURES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp",
        ".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".tif", ".tiff",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a batch.

    Attributes:
        position: Its place in the whole input, from 0.
        place: Its name in the output: relative to the folder or archive, or as the list has it.
        reference: Where its bytes are.
    """

    position: int
    place: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class Source:
    """All images of an input.

    Attributes:
        items: In order.
        left_out: Files that are no pictures by their name.
        identity: Hexadecimal sha256 of what the input lists; contents of files are not part of it.
    """

    items: tuple[Item, ...]
    left_out: int
    identity: str


def open_source(path: Path, *, column: str = "path") -> Source:
    """List the images of an input.

    A folder is searched with all folders below it, without following links to folders; hidden
    files are passed over. The members of a zip archive are never unpacked onto the disk. Paths in
    a list are relative to the list's own folder.

    Args:
        path: A folder, a ``.zip``, or a ``.csv`` or ``.parquet`` with a column of paths.
        column: Name of that column.

    Returns:
        Folder and archive sorted by name, lists in their own order.

    Raises:
        DataError: there is no such input, or it lists no image.
        InputError: it is of another kind, damaged, or lacks the column.
    """
    if not path.exists():
        raise DataError(f"expected a folder, .zip, .csv or .parquet, found nothing at {path}")
    opened = _folder(path) if path.is_dir() else _file(path, column)
    if not opened.items:
        raise DataError(
            f"expected images in {path}, found none ({opened.left_out} other files): check the path"
        )
    return opened


def _file(path: Path, column: str) -> Source:
    kinds: dict[str, Callable[[], Source]] = {
        ".zip": lambda: _archive(path),
        ".csv": lambda: _list(path, _csv_column(path, column)),
        ".parquet": lambda: _list(path, _parquet_column(path, column)),
    }
    if path.suffix.lower() not in kinds:
        raise InputError(f"expected a folder, .zip, .csv or .parquet as input, got {path}")
    return kinds[path.suffix.lower()]()


def _folder(folder: Path) -> Source:
    found, left_out = [], 0
    for where, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            if name.startswith("."):
                continue
            if Path(name).suffix.lower() in _PICTURES:
                found.append((Path(where) / name).relative_to(folder).as_posix())
            else:
                left_out += 1
    found.sort()
    return _source(
        ((name, FileReference(str(folder / name))) for name in found), left_out, "folder"
    )


def _archive(path: Path) -> Source:
    try:
        members = members_of(str(path))
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"expected an intact zip archive at {path}, got: {error}") from error
    found, left_out = [], 0
    for index, member in enumerate(members):
        parts = PurePosixPath(member.filename).parts
        if member.is_dir() or any(part.startswith(".") and part != ".." for part in parts):
            continue
        if Path(member.filename).suffix.lower() in _PICTURES:
            found.append((member.filename, index))
        else:
            left_out += 1
    found.sort()
    contents = "".join(f"{members[at].CRC:08x}{members[at].file_size}," for _, at in found)
    references = ((name, MemberReference(str(path), at)) for name, at in found)
    return _source(references, left_out, f"zip {contents}")


def _list(path: Path, places: Iterable[str]) -> Source:
    return _source(
        ((place, FileReference(str(path.parent / place))) for place in places), 0, "list"
    )


def _source(found: Iterable[tuple[str, Reference]], left_out: int, kind: str) -> Source:
    digest = hashlib.sha256(f"{kind}\n".encode())
    items = []
    for position, (name, reference) in enumerate(found):
        place = _readable(name)
        digest.update(f"{place}\n".encode())
        items.append(Item(position, place, reference))
    return Source(tuple(items), left_out, digest.hexdigest())


def _readable(name: str) -> str:
    """A file's name as text; bytes that are none are written as two hexadecimal digits."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _csv_column(path: Path, column: str) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            _require_column(path, column, rows.fieldnames or ())
            return [row[column] or "" for row in rows]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"expected UTF-8 CSV in {path}, got: {error}") from error


def _parquet_column(path: Path, column: str) -> list[str]:
    from gatekeeper.batch.arrow import pa, pq

    try:
        with pq.ParquetFile(path) as file:
            _require_column(path, column, file.schema_arrow.names)
            kind = file.schema_arrow.field(column).type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise InputError(f"expected text in column {column!r} of {path}, got {kind}")
            read = file.read(columns=[column]).column(column)
    except pa.ArrowInvalid as error:
        raise InputError(f"expected a Parquet file at {path}, got: {error}") from error
    return [place or "" for place in read.to_pylist()]


def _require_column(path: Path, column: str, columns: Iterable[str]) -> None:
    names = list(columns)
    if column not in names:
        raise InputError(
            f"expected a column {column!r} in {path}, got {', '.join(names) or 'none'}: name the "
            "one with the paths (--column)"
        )
