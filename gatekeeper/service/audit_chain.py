"""A chain of records: a line cannot be changed, removed or put in without breaking what follows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatekeeper.errors import DataError

START = "0" * 64
"""What the first line of the first file is chained to."""

PATTERN = "audit-*.jsonl"
_OWN = ("seq", "prev", "sha256")


def chained_line(fields: Mapping[str, Any], *, seq: int, prev: str) -> tuple[bytes, str]:
    """A line of a log, and its hash.

    Args:
        fields: JSON-ready; none is called seq, prev or sha256.
        seq: Number of the line, from 1.
        prev: Hash of the line before, :data:`START` for the first.

    Returns:
        The line with its newline, and the hash that the next one is chained to: sha256 of the
        canonical JSON of all but the hash itself.
    """
    record = {**fields, "seq": seq, "prev": prev}
    digest = _digest(record)
    return _canonical({**record, "sha256": digest}) + b"\n", digest


def _canonical(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(record)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found in a log that is whole.

    Attributes:
        records: Number of complete lines.
        first_seq: Number of the first; above 1 where older files were removed by retention. 0 for
            an empty log.
        last_seq: Number of the last; 0 for an empty log.
        head: Hash of the last line: kept elsewhere, it proves later that the end was not cut off.
        torn: Files whose last line is incomplete, as a crash leaves it; it is no record.
    """

    records: int
    first_seq: int
    last_seq: int
    head: str
    torn: tuple[str, ...]


def log_files(log: Path) -> list[Path]:
    """The files of a log, oldest first: a folder's, or the one file."""
    return sorted(log.glob(PATTERN)) if log.is_dir() else [log]


def verify(log: Path) -> Verified:
    """Check every line of a log.

    Args:
        log: A folder that a service wrote to, or one file of it.

    Raises:
        DataError: there is no log, or a line was changed, removed, put in or moved; it says where.
    """
    files = log_files(log)
    if not files or not all(path.is_file() for path in files):
        raise DataError(f"expected an audit log at {log}, got none: name the folder or a file")
    records, first, last, head = 0, 0, 0, ""
    torn = []
    for path in files:
        *lines, rest = path.read_bytes().split(b"\n")
        if rest:
            torn.append(path.name)
        for number, line in enumerate(lines, 1):
            record = _read(line, f"{path.name} line {number}")
            if records and (record["seq"], record["prev"]) != (last + 1, head):
                raise _broken(f"{path.name} line {number}", "does not follow the one before it")
            if not records:
                first = record["seq"]
                _check_start(record, f"{path.name} line {number}")
            records, last, head = records + 1, record["seq"], record["sha256"]
    return Verified(records=records, first_seq=first, last_seq=last, head=head, torn=tuple(torn))


def _check_start(record: Mapping[str, Any], where: str) -> None:
    if (record["seq"] == 1) != (record["prev"] == START):
        raise _broken(where, "is not how a log begins")


def _read(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise _broken(where, "is no JSON") from error
    if not isinstance(record, dict) or not set(_OWN) <= set(record):
        raise _broken(where, "is no record")
    content = {key: value for key, value in record.items() if key != "sha256"}
    if _digest(content) != record["sha256"] or _canonical(record) != line:
        raise _broken(where, "was changed")
    return record


def _broken(where: str, what: str) -> DataError:
    return DataError(f"expected an unbroken audit log, {where} {what}: do not rely on it")


def last_record(files: Iterable[Path]) -> tuple[int, str]:
    """Number and hash of the last complete line; (0, START) where there is none.

    Raises:
        DataError: that line is no record.
    """
    for path in sorted(files, reverse=True):
        *lines, _ = path.read_bytes().split(b"\n")
        if lines:
            record = _read(lines[-1], f"the last line of {path.name}")
            return record["seq"], record["sha256"]
    return 0, START
