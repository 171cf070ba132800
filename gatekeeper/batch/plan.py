"""How a batch is cut into chunks and shards."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from gatekeeper.batch.sources import Item, Source
from gatekeeper.errors import InputError

_SHARD = re.compile(r"(\d+)/(\d+)")
_MOST_THREADS = 8


def default_decode_threads() -> int:
    """As many threads as this process has cores, 8 at most."""
    return min(_MOST_THREADS, len(os.sched_getaffinity(0)))


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of an input, each a stretch of it; together they are all of it.

    Attributes:
        index: From 1.
        count: How many there are.

    Raises:
        InputError: the index is not one of 1…count.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse a part that does not exist."""
        if not 1 <= self.index <= self.count:
            raise InputError(f"expected a shard from 1/{self.count} on, got {self}")

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"{self.index}/{self.count}"

    def of(self, n: int) -> range:
        """Its positions among ``n``; sizes of shards differ by one at most.

        Example:
            >>> [Shard(i, 3).of(7) for i in (1, 2, 3)]
            [range(0, 2), range(2, 4), range(4, 7)]
        """
        return range(n * (self.index - 1) // self.count, n * self.index // self.count)


def parse_shard(text: str) -> Shard:
    """A shard written as ``i/n``.

    Raises:
        InputError: it is not written like that, or i is not one of 1…n.

    Example:
        >>> parse_shard("2/3")
        Shard(index=2, count=3)
    """
    match = _SHARD.fullmatch(text)
    if match is None:
        raise InputError(f"expected a shard as i/n, such as 1/4, got {text!r}")
    return Shard(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How the work is cut.

    Attributes:
        chunk: Images per checkpoint, at least 1: a kill loses two at most.
        batch: Largest batch of first looks, at least 1.
        restore_batch: Largest batch of restorations, at least 1.
        decode_threads: Threads that turn bytes into pixels, at least 1.
        ahead: Chunks that are decoded before their turn, at least 1; bounds the memory.

    Raises:
        InputError: a number is below 1.
    """

    chunk: int = 256
    batch: int = 64
    restore_batch: int = 16
    decode_threads: int = 2
    ahead: int = 2

    def __post_init__(self) -> None:
        """Refuse what nothing can be cut into."""
        for name in ("chunk", "batch", "restore_batch", "decode_threads", "ahead"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Plan:
    """A shard of a source, in chunks.

    Attributes:
        source: The whole input.
        shard: The part of it.
        options: How it is cut.
    """

    source: Source
    shard: Shard
    options: BatchOptions

    @property
    def n_images(self) -> int:
        """Images of the shard."""
        return len(self.shard.of(len(self.source.items)))

    @property
    def n_chunks(self) -> int:
        """Chunks of the shard; the last may be shorter."""
        return -(-self.n_images // self.options.chunk)

    def chunk(self, index: int) -> tuple[Item, ...]:
        """The images of a chunk, in order."""
        part = self.shard.of(len(self.source.items))
        inside = part[index * self.options.chunk : (index + 1) * self.options.chunk]
        return self.source.items[inside.start : inside.stop]
