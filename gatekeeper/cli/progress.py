"""Progress bars on standard error, one per stage."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Bars:
    """Shows every stage as a bar; where standard error is no terminal, as one line at the end.

    A stage that comes back continues its bar: the test images are looked at once per corruption.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._stage = ""

    def __enter__(self) -> Self:
        """Begin to show."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the finished bars on the screen."""
        self._progress.stop()

    def start(self, stage: str, total: int) -> None:
        """A new bar below the last one, or more work for the bar of that stage."""
        self._stage = stage
        self._totals[stage] = self._totals.get(stage, 0) + total
        if not self._totals[stage]:
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=self._totals[stage])
        else:
            self._progress.update(self._tasks[stage], total=self._totals[stage])

    def advance(self, n: int) -> None:
        """The current bar moves on."""
        if self._stage in self._tasks:
            self._progress.advance(self._tasks[self._stage], n)
