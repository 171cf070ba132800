"""How long work tells how far it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """One bar at a time: a stage starts, advances, and ends when the next one starts."""

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` units begins."""
        ...

    def advance(self, n: int) -> None:
        """``n`` more units of the current stage are done."""
        ...


class Silent:
    """Progress that nobody watches."""

    def start(self, stage: str, total: int) -> None:
        """Say nothing."""

    def advance(self, n: int) -> None:
        """Say nothing."""
