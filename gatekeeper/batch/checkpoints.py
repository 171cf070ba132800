"""Finished chunks on disk: a run that was killed goes on, and what it leaves is whole or absent."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from gatekeeper.batch.arrow import pa, pq
from gatekeeper.batch.rows import SCHEMA
from gatekeeper.errors import DataError, InputError

_RUN = "run.json"
_LOCK = "lock"
_KEY = b"gatekeeper.run"
# Rows that are written at once: small groups make a Parquet file large and slow to read.
_GROUP_ROWS = 65_536


class Checkpoints:
    """The chunks of one run, in a folder beside its output.

    Everything is written under another name first and renamed when it is complete, so that a
    kill at any moment leaves whole files only.

    Args:
        output: The Parquet file that is to be made.
        run: What the run is: whatever would change its rows. JSON-ready.
    """

    def __init__(self, output: Path, run: Mapping[str, Any]) -> None:
        self._output = output
        self._folder = output.with_name(f"{output.name}.part")
        self._run = dict(run)

    @property
    def folder(self) -> Path:
        """Where the finished chunks lie until the output is made."""
        return self._folder

    @contextmanager
    def opened(self, *, resume: bool) -> Iterator[Self]:
        """The folder, made or taken up again, held by this process alone.

        Args:
            resume: Whether chunks of an earlier run may be there.

        Raises:
            InputError: they are and may not be, or they are those of another run, or another
                process is at it.
        """
        if self._folder.exists() and not resume:
            raise InputError(
                f"expected no unfinished run in {self._folder}, found one: go on with it by "
                "--resume, or delete the folder"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / _LOCK).open("wb") as lock:
            try:
                # Let go by the kernel when the process ends, however it ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"expected {self._folder} for this run alone, another process is at it: wait "
                    "for it or choose another output"
                ) from error
            self._claim()
            yield self

    def _claim(self) -> None:
        path = self._folder / _RUN
        if not path.exists():
            _write_whole(path, (json.dumps(self._run, indent=1) + "\n").encode())
            return
        before = _json(path.read_text(encoding="utf-8"))
        _require_same(before, self._run, path)

    def finished(self, sizes: Mapping[int, int]) -> set[int]:
        """Numbers of the chunks that need not be computed again.

        Args:
            sizes: Number of every chunk -> its rows.
        """
        return {index for index, size in sizes.items() if self._rows(index) == size}

    def _rows(self, index: int) -> int | None:
        """Rows of a chunk's file, None where it is not there or not whole."""
        path = self._chunk(index)
        if not path.exists():
            return None
        try:
            with pq.ParquetFile(path) as file:
                same = file.schema_arrow.equals(SCHEMA)
                return int(file.metadata.num_rows) if same else None
        except pa.ArrowInvalid:
            return None

    def keep(self, index: int, table: pa.Table) -> None:
        """Write a chunk; once this returns, a kill does not lose it."""
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer)
        _write_whole(self._chunk(index), buffer.getvalue())

    def gather(self, n_chunks: int, see: Callable[[pa.Table], object]) -> None:
        """Put the chunks together, in order; :meth:`make_output` makes the output of it.

        Args:
            n_chunks: How many there are.
            see: Is shown all rows on their way, some chunks at once.

        Raises:
            DataError: a chunk is missing.
        """
        schema = SCHEMA.with_metadata({_KEY: json.dumps(self._run).encode()})
        with pq.ParquetWriter(self._gathered, schema) as writer:
            for group in _in_groups(self._tables(n_chunks)):
                see(group)
                writer.write_table(group.replace_schema_metadata(schema.metadata))

    def _tables(self, n_chunks: int) -> Iterator[pa.Table]:
        for index in range(n_chunks):
            path = self._chunk(index)
            if not path.exists():
                raise DataError(f"expected {path}, it is gone: run again with --resume")
            with pq.ParquetFile(path) as file:
                yield file.read()

    def make_output(self) -> None:
        """The output of what was gathered; it appears at once and whole."""
        _to_disk(self._gathered)
        self._gathered.replace(self._output)

    def is_done(self) -> bool:
        """Whether the output is there, of this very run.

        Raises:
            InputError: it is there and of another run.
        """
        if not self._output.exists():
            return False
        try:
            metadata = pq.read_schema(self._output).metadata or {}
        except pa.ArrowInvalid:
            metadata = {}
        if _KEY not in metadata:
            raise InputError(f"expected no file at {self._output}, found one that is none of ours")
        _require_same(_json(metadata[_KEY].decode()), self._run, self._output)
        return True

    def remove(self) -> None:
        """Delete the chunks, which the output has."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _gathered(self) -> Path:
        return self._folder / "output.unfinished"

    def _chunk(self, index: int) -> Path:
        return self._folder / f"chunk-{index:08d}.parquet"


def _in_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    gathered: list[pa.Table] = []
    rows = 0
    for table in tables:
        gathered.append(table)
        rows += len(table)
        if rows >= _GROUP_ROWS:
            yield pa.concat_tables(gathered).combine_chunks()
            gathered, rows = [], 0
    if gathered:
        yield pa.concat_tables(gathered).combine_chunks()


def _json(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _require_same(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    differing = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if differing:
        raise InputError(
            f"expected the run that {path} belongs to, got another {', '.join(differing)}: repeat "
            "the command as it was, or choose another output"
        )


def _write_whole(path: Path, content: bytes | pa.Buffer) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
