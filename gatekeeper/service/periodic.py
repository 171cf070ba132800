"""Work that is done again and again in a thread beside the service."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_LOG = logging.getLogger("gatekeeper.service")


class Periodic:
    """Calls something every so many seconds, and at once when it is woken.

    What it raises is logged and ends nothing: the next call may go well.

    Args:
        work: Called in a thread of its own, never twice at once.
        every_s: Seconds between the end of a call and the next, above 0.
        name: Of the thread.
        at_end: Whether it is called a last time when it is closed.
    """

    def __init__(
        self, work: Callable[[], object], *, every_s: float, name: str, at_end: bool = False
    ) -> None:
        self._work = work
        self._every_s = every_s
        self._at_end = at_end
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first call is made after ``every_s``."""
        self._thread.start()

    def wake(self) -> None:
        """Have the next call made at once."""
        self._wake.set()

    def close(self, timeout_s: float = 10.0) -> None:
        """End it; waits for a call under way or the last one, ``timeout_s`` at most."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self._wake.wait(self._every_s)
            self._wake.clear()
            stopped = self._stopped
            if stopped and not self._at_end:
                return
            try:
                self._work()
            except Exception:  # noqa: BLE001  # logged; the next call may go well
                _LOG.exception("%s met an error", self._thread.name)
            if stopped:
                return
