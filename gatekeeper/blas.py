"""One thread for numpy's products of matrices while decisions are made.

What the gate itself multiplies is small. OpenBLAS starts a thread per core for it nevertheless, and
these spin while they wait for the next product: on two cores they took as much processor time as
all the rest of a decision, from the threads that decode. The classifier's own threads are torch's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@cache
def _controller() -> ThreadpoolController:
    """Of the libraries that are loaded by now; to look for them takes milliseconds."""
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """While it lasts, BLAS computes in the thread that calls it; for the whole process."""
    with _controller().limit(limits=1, user_api="blas"):
        yield
