"""How far a batch is: images, images per second, time that remains."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

_EVERY_S = 30.0


class _Rate(ProgressColumn):
    """Images per second, over the last of them."""

    def render(self, task: Task) -> Text:
        """The rate, a dash before there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "–/s")


class Rate:
    """One bar on a terminal; elsewhere, such as in a log, a line from time to time.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        console = Console(stderr=True)
        self._clock = clock
        self._bar = (
            RichProgress(
                *RichProgress.get_default_columns()[:1],
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
                console=console,
            )
            if console.is_terminal
            else None
        )
        self._task = None if self._bar is None else self._bar.add_task("", visible=False)
        self._stage = ""
        self._total = self._done = 0
        self._began = self._told = 0.0

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave what is on the screen."""
        if self._bar is not None:
            self._bar.stop()

    def start(self, stage: str, total: int) -> None:
        """The one stage of a batch begins."""
        self._stage, self._total, self._done = stage, total, 0
        self._began = self._told = self._clock()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=stage, total=total, visible=True)

    def advance(self, n: int) -> None:
        """``n`` more images are done."""
        self._done += n
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, n)
            return
        now = self._clock()
        if now - self._told >= _EVERY_S or self._done >= self._total:
            self._told = now
            sys.stderr.write(f"{self._line(now)}\n")

    def _line(self, now: float) -> str:
        rate = self._done / max(now - self._began, 1e-9)
        left = (self._total - self._done) / rate
        return (
            f"{self._done:,} of {self._total:,} {self._stage}, {rate:,.0f} per second, "
            f"{left:,.0f} s left"
        )
