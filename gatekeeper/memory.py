"""How the C library hands out memory to tensors: freed blocks are kept for the next ones.

By default glibc asks the kernel for every large block and gives it back when it is freed. Networks
free and ask for blocks of the same sizes all the time; clearing their pages again and again takes
as long as the arithmetic itself. Threads would get heaps of their own, of at most 64 MiB each,
which are given back whatever is asked for; so all share the first one.
"""

from __future__ import annotations

import ctypes

# Numbers of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
_KEPT_BYTES = 2**30


def keep_freed_memory() -> bool:
    """Keep up to 1 GiB of freed memory in this process for its next allocations.

    Call it before threads are started: one that has a heap of its own keeps it.

    Returns:
        Whether the C library took it; False where it is not glibc, and then nothing changed.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    if not (mallopt(_TRIM_THRESHOLD, _KEPT_BYTES) and mallopt(_ARENA_MAX, 1)):
        return False
    # Some versions bound the threshold; they take blocks of all sizes from the heap instead.
    return bool(mallopt(_MMAP_THRESHOLD, _KEPT_BYTES) or mallopt(_MMAP_MAX, 0))
