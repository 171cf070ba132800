"""A failing batch fails only those in it that make it fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gatekeeper.engine.problems import StageError

T = TypeVar("T")
R = TypeVar("R")

Compute = Callable[[Sequence[T]], "Sequence[R | Exception]"]


@dataclass(frozen=True, slots=True)
class Isolated(Generic[R]):
    """What became of a batch.

    Attributes:
        results: One per item, in order: its result, or why it has none.
        batch: Largest part that was computed without running out of memory, where one was not;
            None where memory sufficed.
    """

    results: list[R | Exception]
    batch: int | None


def run_isolated(
    compute: Compute[T, R],
    items: Sequence[T],
    *,
    is_exhausted: Callable[[Exception], bool],
    is_fatal: Callable[[Exception], bool],
) -> Isolated[R]:
    """Compute a batch; where that fails, compute its halves, down to the items at fault.

    One culprit among n costs at most 2·log2(n) further calls.

    Args:
        compute: Gives one result, or one exception, per item; may raise.
        items: At least one.
        is_exhausted: Whether an error means that memory ran out.
        is_fatal: Whether an error means that nothing can be computed any more.

    Raises:
        Exception: a fatal one, as it is.
    """
    batch: int | None = None

    def run(part: Sequence[T]) -> list[R | Exception]:
        nonlocal batch
        half = len(part) // 2
        if batch is not None and len(part) > batch:
            return run(part[:half]) + run(part[half:])
        try:
            results = _complete(compute(part), len(part))
        except Exception as error:
            if is_fatal(error):
                raise
            if is_exhausted(error):
                batch = max(1, min(half, batch or half))
            if len(part) == 1:
                return [error]
        else:
            return results
        return run(part[:half]) + run(part[half:])

    return Isolated(run(items), batch)


def _complete(results: Sequence[R | Exception], n: int) -> list[R | Exception]:
    if len(results) != n:
        raise StageError(f"expected {n} results of a stage, got {len(results)}: report this bug")
    return list(results)
