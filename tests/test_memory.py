"""Freed memory is kept: a second block of the same size costs no page faults."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gatekeeper.memory import keep_freed_memory

_FAULTS = """
import ctypes, resource, sys, threading
from gatekeeper.memory import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit(3)
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
n_blocks, size = int(sys.argv[3]), 2 ** int(sys.argv[4])
def use():
    blocks = [libc.malloc(ctypes.c_size_t(size)) for _ in range(n_blocks)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks:
        libc.free(block)
def measure():
    use()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    use()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
if sys.argv[2] == "thread":
    worker = threading.Thread(target=measure)
    worker.start()
    worker.join()
else:
    measure()
"""


def faults(how: str, where: str = "here", *, blocks: int = 1, bits: int = 26) -> int:
    command = [sys.executable, "-c", _FAULTS, how, where, str(blocks), str(bits)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("the C library of this machine is not glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_second_block_of_the_same_size_is_the_first_one_again() -> None:
    assert faults("kept") < 100
    # Without it every one of the 16,384 pages (or 32 huge ones) is asked for again.
    assert faults("usual") > faults("kept")


def test_a_thread_keeps_its_blocks_too() -> None:
    """64 blocks of 2 MiB: more than a thread's own heaps of 64 MiB would hold at once."""
    assert faults("kept", "thread", blocks=64, bits=21) < 100
    assert faults("usual", "thread", blocks=64, bits=21) > 100


def test_elsewhere_than_glibc_nothing_happens(monkeypatch) -> None:
    def missing(_name: str) -> object:
        raise OSError

    monkeypatch.setattr("gatekeeper.memory.ctypes.CDLL", missing)
    assert keep_freed_memory() is False
