"""What does not fit into the device's memory at once is done in halves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from gatekeeper.errors import InputError

T = TypeVar("T")


def in_halves(n_rows: int, work: Callable[[slice], T]) -> list[tuple[slice, T]]:
    """Do the work on all rows at once; where memory runs out, on halves and quarters.

    Args:
        n_rows: Number of rows, at least 1.
        work: Takes a slice of the rows. What it did before it ran out of memory must not count:
            it is called again for the same rows.

    Returns:
        The slices that went through, in order, each with what the work gave.

    Raises:
        InputError: a single row does not fit.
    """
    done: list[tuple[slice, T]] = []
    waiting = [slice(0, n_rows)]
    while waiting:
        rows = waiting.pop()
        try:
            done.append((rows, work(rows)))
            continue
        except torch.OutOfMemoryError as error:
            if rows.stop - rows.start <= 1:
                raise InputError(
                    "expected one image to fit into the device's memory, and it does not: use "
                    "smaller images, or the CPU"
                ) from error
        # Out here, because the error holds on to the tensors of the failed pass.
        torch.cuda.empty_cache()
        middle = (rows.start + rows.stop) // 2
        waiting += [slice(middle, rows.stop), slice(rows.start, middle)]
    return done
