"""Takes images into the review queue beside the requests, never in their way."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from functools import partial

from gatekeeper.review.candidates import Candidate
from gatekeeper.review.queue import ReviewQueue

_LOG = logging.getLogger("gatekeeper.review")


class Capture:
    """A thread that encodes and stores what it is offered.

    Args:
        review: Where the images go.
        waiting: Images that may wait to be stored; more are dropped and counted.
        on_drop: Called for each image that is dropped, here or because the disk refuses.
        expire_every_s: How long nothing may come before what is too old is removed all the same.
    """

    def __init__(
        self,
        review: ReviewQueue,
        *,
        waiting: int = 256,
        on_drop: Callable[[], None] = lambda: None,
        expire_every_s: float = 3600.0,
    ) -> None:
        self.review = review
        self._on_drop = on_drop
        self._expire_every_s = expire_every_s
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
        while True:
            try:
                candidate = self._offered.get(timeout=self._expire_every_s)
            except queue.Empty:
                self._try(self.review.expire)
                continue
            if candidate is None:
                return
            if not self._try(partial(self.review.take, candidate)):
                self._on_drop()

    def _try(self, work: Callable[[], object]) -> bool:
        """Whether it went well: a full disk or a locked database must not end the thread."""
        try:
            work()
        except (OSError, sqlite3.Error):
            _LOG.exception("the review queue cannot be written")
            return False
        return True
