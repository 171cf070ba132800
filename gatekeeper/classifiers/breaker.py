"""A circuit breaker: what keeps failing is left alone for a while, then tried once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from gatekeeper.errors import GatekeeperError, InputError


class BreakerState(StrEnum):
    """Closed lets everything pass, open nothing, half-open one probe at a time."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class BreakerOpenError(GatekeeperError):
    """The breaker is open: nothing was asked.

    Args:
        retry_after_s: When the next probe may pass, above 0.
        message: The sentence.
    """

    def __init__(self, retry_after_s: float, message: str) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CircuitBreaker:
    """Counts failures in a row; safe in threads.

    ``failures`` of them open it. ``reset_s`` later it is half-open: one attempt passes, the others
    are refused; its success closes the breaker, its failure opens it anew.

    Args:
        failures: At least 1.
        reset_s: Above 0.
        clock: Monotonic seconds.

    Raises:
        InputError: a number is out of range.

    Example:
        >>> breaker = CircuitBreaker(failures=1, reset_s=10, clock=lambda: 0.0)
        >>> with breaker.attempt():
        ...     raise OSError
        Traceback (most recent call last):
        OSError
        >>> str(breaker.state)
        'open'
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        reset_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if failures < 1 or not reset_s > 0:
            raise InputError(
                f"expected at least 1 failure and a reset_s above 0, got {failures} and {reset_s}"
            )
        self._failures = failures
        self._reset_s = reset_s
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._opened: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """Where it stands."""
        opened = self._opened
        if opened is None:
            return BreakerState.CLOSED
        over = self._clock() - opened >= self._reset_s
        return BreakerState.HALF_OPEN if over else BreakerState.OPEN

    @contextmanager
    def attempt(
        self, *, spared: type[Exception] | tuple[type[Exception], ...] = ()
    ) -> Iterator[None]:
        """One attempt; what it raises counts as a failure.

        Args:
            spared: Errors that say that the other side works.

        Raises:
            BreakerOpenError: nothing may pass now.
        """
        probe = self._admit()
        try:
            yield
        except spared:
            self._ended(probe, well=True)
            raise
        except BaseException:
            self._ended(probe, well=False)
            raise
        self._ended(probe, well=True)

    def _admit(self) -> bool:
        """Whether the attempt that passes is a probe."""
        with self._lock:
            if self._opened is None:
                return False
            left = self._opened + self._reset_s - self._clock()
            if left > 0 or self._probing:
                # While a probe is under way nobody knows; a second is soon enough to ask again.
                wait = left if left > 0 else 1.0
                raise BreakerOpenError(
                    wait,
                    f"expected an upstream that answers, it failed {self._failures} times in a "
                    f"row and is left alone for {wait:.3g} s more: come back then",
                )
            self._probing = True
            return True

    def _ended(self, probe: bool, *, well: bool) -> None:
        with self._lock:
            if probe:
                self._probing = False
                self._in_a_row = 0
                self._opened = None if well else self._clock()
            elif self._opened is None:
                # What began before it opened and ends afterwards neither closes nor prolongs it.
                self._in_a_row = 0 if well else self._in_a_row + 1
                if self._in_a_row >= self._failures:
                    self._in_a_row = 0
                    self._opened = self._clock()
