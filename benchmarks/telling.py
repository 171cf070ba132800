"""How a benchmark tells how far it is: bars on a terminal, lines with the time left elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gatekeeper.cli.progress import Bars
from gatekeeper.progress import Progress


class Lines:
    """A line at every tenth of a stage, for logs and for workers that share a terminal.

    Args:
        say: Takes a line.
        clock: Seconds, rising.
    """

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self._stage, self._total, self._done, self._said = "", 0, 0, 0
        self._began = 0.0

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` units begins."""
        self._stage, self._total, self._done, self._said = stage, total, 0, 0
        self._began = self._clock()

    def advance(self, n: int) -> None:
        """``n`` more units are done."""
        self._done += n
        tenths = 10 * self._done // self._total if self._total else 0
        if tenths > self._said:
            self._said = tenths
            taken = self._clock() - self._began
            left = taken * (self._total - self._done) / self._done
            self._say(
                f"{self._stage}: {self._done:,} of {self._total:,} in {_minutes(taken)}, "
                f"about {_minutes(left)} left"
            )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"


@contextmanager
def told(*, shared: bool = False) -> Iterator[Progress]:
    """Progress for one process.

    Args:
        shared: Whether other processes write to the same terminal.
    """
    if shared or not sys.stderr.isatty():
        yield Lines(lambda line: print(line, file=sys.stderr, flush=True))
    else:
        with Bars() as bars:
            yield bars
