"""Where one image of a batch lies, small enough to be sent to another process."""

from __future__ import annotations

import errno
import os
import stat
import threading
import zipfile
import zlib
from dataclasses import dataclass
from typing import Protocol

from gatekeeper.errors import ImageError

# Other methods unpack through decoders whose memory the archive itself chooses.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# What opening says of a place where no file is.
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})

_LOCK = threading.Lock()
_OPEN: dict[str, tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]] = {}


class Reference(Protocol):
    """Gives the bytes of one image; safe to use from several threads."""

    def read(self, max_bytes: int) -> bytes:
        """The bytes.

        Args:
            max_bytes: More are not read.

        Raises:
            ImageError: they cannot be read (``unreadable``) or are more (``too_large``).
        """
        ...

    def absolute(self) -> Reference:
        """The same place, whatever the working directory is."""
        ...


@dataclass(frozen=True, slots=True)
class FileReference:
    """A file.

    Attributes:
        path: Where it is, on the machine that reads it.
    """

    path: str

    def read(self, max_bytes: int) -> bytes:
        """The bytes; see :meth:`Reference.read`."""
        try:
            # Anything but a file, such as a pipe, could keep its reader waiting for ever.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                data = _contents(descriptor, max_bytes)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_FILE:
                raise ImageError(
                    "unreadable", f"expected a file that can be read, got: {error.strerror}"
                ) from error
            data = None
        if data is None:
            raise ImageError("unreadable", f"expected an image file, got none at {self.path}")
        return _bounded(data, max_bytes)

    def absolute(self) -> FileReference:
        """See :meth:`Reference.absolute`."""
        return FileReference(os.path.abspath(self.path))  # noqa: PTH100  # links stay links


@dataclass(frozen=True, slots=True)
class MemberReference:
    """A member of a zip archive; it is unpacked into memory, never onto the disk.

    Attributes:
        archive: Path of the archive.
        index: Place of the member in the archive's own list: names need not be unique.
    """

    archive: str
    index: int

    def read(self, max_bytes: int) -> bytes:
        """The bytes; see :meth:`Reference.read`. Its size is counted, not believed."""
        try:
            archive, members = _opened(self.archive)
            member = members[self.index]
            if member.compress_type not in _METHODS or member.flag_bits & 1:
                raise ImageError(
                    "unreadable",
                    "expected a stored or deflated member without a password, got another one",
                )
            with archive.open(member) as file:
                data = file.read(max_bytes + 1)
        except (
            OSError,
            EOFError,
            IndexError,
            NotImplementedError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise ImageError(
                "unreadable", f"expected an intact member of the archive, got: {error}"
            ) from error
        return _bounded(data, max_bytes)

    def absolute(self) -> MemberReference:
        """See :meth:`Reference.absolute`."""
        return MemberReference(os.path.abspath(self.archive), self.index)  # noqa: PTH100


def _contents(descriptor: int, max_bytes: int) -> bytes | None:
    """Of a file, one byte more than ``max_bytes`` at most; None of what is no file."""
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        return None
    data, wanted = b"", min(state.st_size, max_bytes) + 1
    # One more than the file has, so that the first reading sees its end; it may grow meanwhile.
    while wanted > 0:
        found = os.read(descriptor, wanted)
        data += found
        if len(found) < wanted:
            break
        wanted = max_bytes + 1 - len(data)
    return data


def _bounded(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise ImageError(
            "too_large", f"expected at most {max_bytes} bytes, got more: send a smaller file"
        )
    return data


def _opened(path: str) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """The archive, opened once per process: reading its list takes longer than reading a member."""
    with _LOCK:
        if path not in _OPEN:
            archive = zipfile.ZipFile(path)
            _OPEN[path] = (archive, archive.infolist())
        return _OPEN[path]


def members_of(path: str) -> list[zipfile.ZipInfo]:
    """The list of an archive, which stays open until :func:`close_archives`.

    Raises:
        OSError: it cannot be read.
        zipfile.BadZipFile: it is no archive.
    """
    return _opened(path)[1]


def close_archives() -> None:
    """Close the archives of this process; one that is needed again is opened again."""
    with _LOCK:
        while _OPEN:
            _OPEN.popitem()[1][0].close()
