"""Seconds of the processor that work took, counted over runs that were cut short.

What is written at the end of a cell is kept; a cell that was cut short is made again and counts
once, as it would have in one run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gatekeeper.progress import Progress, Silent

Clock = Callable[[], float]


class Meter:
    """A progress that listens for the ends of cells; hand it to what is measured.

    Args:
        file: Where the seconds are kept.
        shown: Told of everything, too.
        clock: Seconds of the processor.
    """

    def __init__(
        self, file: Path, *, shown: Progress | None = None, clock: Clock = time.process_time
    ) -> None:
        self._file, self._shown, self._clock = file, shown or Silent(), clock
        self.seconds = float(file.read_text(encoding="utf-8")) if file.is_file() else 0.0
        self._since = clock()

    def start(self, stage: str, total: int) -> None:
        """A cell begins: the one before it has ended."""
        self.keep()
        self._shown.start(stage, total)

    def advance(self, n: int) -> None:
        """Nothing ends here."""
        self._shown.advance(n)

    def keep(self) -> float:
        """Add what was spent since the last end; returns the seconds in all."""
        now = self._clock()
        self.seconds += now - self._since
        self._since = now
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(repr(self.seconds), encoding="utf-8")
        return self.seconds


def seconds_of_each(
    file: Path, parts: Mapping[str, Callable[[], object]], *, clock: Clock = time.process_time
) -> dict[str, float]:
    """Do every part that has not been done yet, and say what each took.

    Args:
        file: JSON lines of what was done; read and added to.
        parts: Name -> work.
        clock: Seconds of the processor.
    """
    done: dict[str, float] = {}
    if file.is_file():
        complete, end, _ = file.read_text(encoding="utf-8").rpartition("\n")
        # What follows the last line's end was cut short.
        file.write_text(complete + end, encoding="utf-8")
        for line in complete.splitlines():
            entry = json.loads(line)
            done[entry["part"]] = float(entry["seconds"])
    file.parent.mkdir(parents=True, exist_ok=True)
    for name, work in parts.items():
        if name in done:
            continue
        start = clock()
        work()
        done[name] = clock() - start
        with file.open("a", encoding="utf-8") as kept:
            kept.write(json.dumps({"part": name, "seconds": done[name]}) + "\n")
    return {name: done[name] for name in parts}
