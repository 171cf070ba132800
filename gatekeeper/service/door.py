"""Who may come in: so many requests at once, and nobody once the service is to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gatekeeper.service.errors import DrainingError, TooBusyError
from gatekeeper.service.metrics import ServiceMetrics

_LOG = logging.getLogger("gatekeeper.service")


class Door:
    """Counts the requests under way; used in the event loop only.

    Args:
        most: Requests at once, at least 1.
        metrics: Where they and the refused ones are counted.
    """

    def __init__(self, most: int, metrics: ServiceMetrics) -> None:
        self._most = most
        self._metrics = metrics
        self._inside = 0
        self._draining_since: float | None = None

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._inside

    @property
    def is_draining(self) -> bool:
        """Whether nothing new is let in."""
        return self._draining_since is not None

    @property
    def draining_s(self) -> float:
        """Seconds since draining began; 0 where it has not."""
        return 0.0 if self._draining_since is None else time.monotonic() - self._draining_since

    def drain(self) -> None:
        """Let nothing new in from now on."""
        if self._draining_since is None:
            self._draining_since = time.monotonic()
            _LOG.info("draining: %d requests under way", self._inside)

    def refuse_while_draining(self) -> None:
        """Refuse where the service is to stop.

        Raises:
            DrainingError: it is.
        """
        if self.is_draining:
            raise DrainingError("the service is stopping and takes nothing new: ask another one")

    def check(self) -> None:
        """Whether one more request would be let in now.

        Raises:
            DrainingError: the service is to stop.
            TooBusyError: all places are taken.
        """
        if self.is_draining:
            self._metrics.refused("draining")
            self.refuse_while_draining()
        if self._inside >= self._most:
            self._metrics.refused("too_busy")
            raise TooBusyError(
                f"expected at most {self._most} requests under way, got one more: come back in a "
                "moment"
            )

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among the requests under way, for as long as the context lasts."""
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        self._inside += step
        self._metrics.in_flight(self._inside)
