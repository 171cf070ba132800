"""Takes images into the review queue beside the requests, never in their way."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable

from gatekeeper.review.candidates import Candidate
from gatekeeper.review.queue import ReviewQueue

_LOG = logging.getLogger("gatekeeper.review")


class Capture:
    """A thread that encodes and stores what it is offered.

    Args:
        queue: Where the images go.
        waiting: Images that may wait to be stored; more are dropped and counted.
        on_drop: Called for each image that is dropped, here or because the disk refuses.
    """

    def __init__(
        self,
        review: ReviewQueue,
        *,
        waiting: int = 256,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self.review = review
        self._on_drop = on_drop
        self._offered: queue.Queue[Candidate | None] = queue.Queue(waiting)
        self._thread = threading.Thread(
            target=self._store_all, name="gatekeeper-review", daemon=True
        )
        self._thread.start()

    def offer(self, candidate: Candidate) -> None:
        """Have an image stored soon, if its turn comes; never blocks."""
        try:
            self._offered.put_nowait(candidate)
        except queue.Full:
            self._on_drop()

    def close(self) -> None:
        """Store what waits, then close the queue."""
        self._offered.put(None)
        self._thread.join()
        self.review.close()

    def _store_all(self) -> None:
        while (candidate := self._offered.get()) is not None:
            try:
                self.review.take(candidate)
            except (OSError, sqlite3.Error):
                # A full disk or a locked database: later images must still have their chance.
                _LOG.exception("an image cannot be stored for review")
                self._on_drop()
