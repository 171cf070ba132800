"""What was decided, on record: written beside the requests, never in their way."""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from gatekeeper.errors import DataError, InputError
from gatekeeper.service.audit_chain import PATTERN, chained_line, last_record, log_files

_LOG = logging.getLogger("gatekeeper.service")


def _now() -> datetime:
    return datetime.now(UTC)


class AuditLog:
    """An append-only, hash-chained log in a folder of its own, one writer at a time.

    A file holds a day or ``max_file_bytes``, whichever ends first; each start begins a new one, so
    that a line which a crash left incomplete stays where it is. Files whose day is older than
    ``keep_days`` are removed when a new one is begun; the chain of the others stays whole.

    Args:
        folder: Made where it is missing.
        keep_days: Days that records are kept, at least 1.
        waiting: Records that may wait to be written; more are dropped and counted.
        max_file_bytes: Size at which a new file is begun.
        on_drop: Called for each record that is dropped.
        clock: The time in UTC.

    Raises:
        InputError: the folder cannot be used, or another process writes to it.
        DataError: the last line in it is no record.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep_days: int = 30,
        waiting: int = 10_000,
        max_file_bytes: int = 64_000_000,
        on_drop: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._folder = folder
        self._keep = timedelta(days=keep_days)
        self._max_file_bytes = max_file_bytes
        self._on_drop = on_drop
        self._clock = clock
        self._lock = _lock(folder)
        try:
            self._seq, self._prev = last_record(log_files(folder))
        except DataError:
            self._lock.close()
            raise
        self._file: BinaryIO | None = None
        self._day = ""
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._write_all, name="gatekeeper-audit")
        self._thread.daemon = True
        self._thread.start()

    def record(self, fields: Mapping[str, Any]) -> None:
        """Have a record written soon; never blocks.

        Args:
            fields: JSON-ready; the time is added.
        """
        stamped = {"time": self._clock().isoformat(timespec="milliseconds"), **fields}
        try:
            self._queue.put_nowait(stamped)
        except queue.Full:
            self._on_drop()

    def close(self) -> None:
        """Write what waits, and let go of the folder."""
        self._queue.put(None)
        self._thread.join()
        if self._file is not None:
            self._file.close()
        self._lock.close()

    def _write_all(self) -> None:
        while (fields := self._queue.get()) is not None:
            try:
                self._write(fields)
            except (OSError, ValueError, TypeError):
                # A full disk, or a record that is no JSON: the others must still be written.
                _LOG.exception("a record cannot be written to the audit log")
                self._on_drop()

    def _write(self, fields: dict[str, Any]) -> None:
        line, digest = chained_line(fields, seq=self._seq + 1, prev=self._prev)
        target = self._target(fields["time"][:10])
        before = target.tell()
        try:
            target.write(line)
            target.flush()
        except OSError:
            # Half a line in the middle would break the chain.
            os.ftruncate(target.fileno(), before)
            raise
        self._seq, self._prev = self._seq + 1, digest

    def _target(self, day: str) -> BinaryIO:
        if self._file is None or day != self._day or self._file.tell() >= self._max_file_bytes:
            if self._file is not None:
                self._file.close()
            self._day = day
            self._retire()
            # The number keeps the order where a day has several files.
            path = self._folder / f"audit-{self._seq + 1:012d}-{day}.jsonl"
            self._file = path.open("ab", buffering=0)
        return self._file

    def _retire(self) -> None:
        oldest = (self._clock() - self._keep).date().isoformat()
        for path in self._folder.glob(PATTERN):
            if path.stem[-10:] < oldest:
                path.unlink()


def _lock(folder: Path) -> BinaryIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / "lock").open("ab")
    except OSError as error:
        raise InputError(
            f"expected a folder for the audit log at {folder}, got: {error.strerror}"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise InputError(
            f"expected the audit log {folder} for this process alone, another writes to it: choose "
            "another folder"
        ) from error
    return handle
