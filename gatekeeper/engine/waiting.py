"""Images that wait for a stage."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from gatekeeper.engine.answers import Mark
from gatekeeper.engine.problems import DeadlineError

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class Item(Generic[T, R]):
    """One image on its way.

    Attributes:
        payload: What the stage needs.
        bucket: Items of one bucket can be computed together; its shape.
        nbytes: Memory that it holds while it waits.
        deadline: Time, by the engine's clock, after which its answer is of no use.
        future: Where its answer goes; cancelled where nobody waits for it any more.
        entered: When it began to wait, by the engine's clock.
        marks: Of the stages that it has passed.
    """

    payload: T
    bucket: Hashable
    nbytes: int
    deadline: float
    future: Future[R]
    entered: float = 0.0
    marks: tuple[Mark, ...] = ()

    def answer(self, result: R | Exception) -> None:
        """Hand over the answer, unless nobody waits for it any more or it has one."""
        with suppress(InvalidStateError):
            if isinstance(result, Exception):
                self.future.set_exception(result)
            else:
                self.future.set_result(result)


class WaitingRoom(Generic[T, R]):
    """Items by bucket, first come, first served; bounded in number and bytes. Not thread-safe.

    Args:
        max_items: Bound on the number.
        max_bytes: Bound on the memory.
    """

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        # The bucket that was served last is the last in line.
        self._buckets: OrderedDict[Hashable, deque[Item[T, R]]] = OrderedDict()
        self._count = 0
        self._nbytes = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory that they hold."""
        return self._nbytes

    def has_room(self, n: int, nbytes: int) -> bool:
        """Whether ``n`` more of ``nbytes`` in all fit in."""
        return self._count + n <= self._max_items and self._nbytes + nbytes <= self._max_bytes

    def put(self, item: Item[T, R]) -> None:
        """Let it wait."""
        self._buckets.setdefault(item.bucket, deque()).append(item)
        self._count += 1
        self._nbytes += item.nbytes

    def take(self, now: float, most: int) -> list[Item[T, R]]:
        """Up to ``most`` items of the bucket whose turn it is, oldest first.

        What nobody waits for is dropped; what is too late is answered with
        :class:`DeadlineError`; neither counts.
        """
        while self._buckets:
            bucket, waiting = next(iter(self._buckets.items()))
            batch: list[Item[T, R]] = []
            while waiting and len(batch) < most:
                item = waiting.popleft()
                self._leave(item)
                if _is_alive(item, now):
                    batch.append(item)
            if waiting:
                self._buckets.move_to_end(bucket)
            else:
                del self._buckets[bucket]
            if batch:
                return batch
        return []

    def prune(self, now: float) -> None:
        """Drop what nobody waits for, and answer what is too late."""
        for bucket, waiting in list(self._buckets.items()):
            gone = [item for item in waiting if not _is_alive(item, now)]
            for item in gone:
                waiting.remove(item)
                self._leave(item)
            if not waiting:
                del self._buckets[bucket]

    def clear(self) -> Iterator[Item[T, R]]:
        """All of them; nobody waits any more."""
        everyone = [item for waiting in self._buckets.values() for item in waiting]
        self._buckets.clear()
        self._count = self._nbytes = 0
        yield from everyone

    def _leave(self, item: Item[T, R]) -> None:
        self._count -= 1
        self._nbytes -= item.nbytes


def _is_alive(item: Item[T, R], now: float) -> bool:
    if item.future.cancelled():
        return False
    if now >= item.deadline:
        item.answer(
            DeadlineError(
                "expected to decide within the deadline, got to this image too late: send fewer "
                "at once or allow more time"
            )
        )
        return False
    return True
