"""Asking another server over HTTP: bounded in time and size, repeated only where that is safe.

GatekeeperError
└── UpstreamError
    ├── UpstreamDownError       nobody there, too slow, overloaded or broken
    ├── UpstreamAnswerError     an answer that is not what was declared
    └── UpstreamRefusedError    the server works and does not take this request (4xx)
"""

from __future__ import annotations

import os
import ssl
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TypeVar
from urllib.parse import urlsplit

from gatekeeper.classifiers.breaker import BreakerOpenError, CircuitBreaker
from gatekeeper.errors import GatekeeperError, InputError

T = TypeVar("T")

_MOST_IDLE = 32
_CHUNK = 65_536
_PAUSE_S = 0.05
_OVERLOADED = (408, 429, 503)


class UpstreamError(GatekeeperError):
    """Another server gave no answer that can be used."""


class UpstreamDownError(UpstreamError):
    """Nobody there, too slow, overloaded or broken.

    Args:
        message: The sentence.
        pause_s: Pause after which the same may be asked again, because nothing was computed; None
            where that is not known.
        retry_after_s: When a client may come back, above 0.
    """

    def __init__(
        self, message: str, *, pause_s: float | None = None, retry_after_s: float = 1.0
    ) -> None:
        super().__init__(message)
        self.pause_s = pause_s
        self.retry_after_s = retry_after_s


class UpstreamAnswerError(UpstreamError):
    """An answer that is not what was declared."""


class UpstreamRefusedError(UpstreamError):
    """The server works and does not take this request.

    Args:
        status: Its status, in 400…499.
        message: The sentence.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request.

    Attributes:
        suffix: Behind the upstream's address, such as ``"/infer"``.
        body: None for a GET.
        headers: Beside those of every request.
    """

    suffix: str = ""
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A good answer.

    Attributes:
        status: In 200…299.
        headers: Names in small letters.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Upstream:
    """One address, its connections and its circuit breaker; safe in threads.

    Redirections are not followed and the environment's proxies are not used: what is asked is
    what was configured.

    Args:
        url: ``http://`` or ``https://`` address without credentials, query and fragment.
        timeout_s: For one question with all its repetitions, above 0.
        retries: How often it is asked again where the connection was refused or the server said
            "come back" (408, 429, 503), at least 0. Never after a timeout or another failure: it
            may be at work still.
        token_env: Environment variable with a bearer token; "" for none. Read once.
        max_answer_bytes: Largest answer that is read.
        breaker: By default one that opens after 5 failures in a row for 10 s.
        clock: Monotonic seconds.
        sleep: Waits some seconds.

    Raises:
        InputError: an argument is not that, or the variable is not set.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        retries: int = 1,
        token_env: str = "",
        max_answer_bytes: int = 10_000_000,
        breaker: CircuitBreaker | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if not timeout_s > 0 or retries < 0:
            raise InputError(
                f"expected a timeout above 0 and retries of at least 0, got {timeout_s}, {retries}"
            )
        self._tls, self._netloc, self._path = _checked_url(url)
        self.url = url
        self.breaker = breaker or CircuitBreaker()
        self._timeout_s = timeout_s
        self._retries = retries
        self._most = max_answer_bytes
        self._clock = clock
        self._sleep = sleep
        self._headers = _authorisation(token_env)
        self._context = ssl.create_default_context() if self._tls else None
        self._idle: deque[HTTPConnection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def is_at(self, url: str) -> bool:
        """Whether an address is this one."""
        return self.url.rstrip("/") == url.rstrip("/")

    def ask(self, call: Call, read: Callable[[Reply], T], *, timeout_s: float | None = None) -> T:
        """Ask, and read the answer.

        Args:
            call: The request; it must do no harm where it is made twice.
            read: Makes something of a good answer; what it raises counts as the upstream's
                failure.
            timeout_s: Less than the upstream's own, where less time is left.

        Raises:
            UpstreamDownError: no answer, or the breaker is open.
            UpstreamAnswerError: as ``read`` says.
            UpstreamRefusedError: a status of 400…499.
        """
        limit = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        until = self._clock() + limit
        try:
            with self.breaker.attempt(spared=UpstreamRefusedError):
                return read(self._persist(call, until))
        except BreakerOpenError as error:
            raise UpstreamDownError(str(error), retry_after_s=error.retry_after_s) from error

    def _persist(self, call: Call, until: float) -> Reply:
        left = self._retries
        while True:
            try:
                return _good(self._exchange(call, until))
            except UpstreamDownError as error:
                pause = error.pause_s
                if left == 0 or pause is None or self._clock() + pause >= until:
                    raise
                left -= 1
                self._sleep(pause)

    def _exchange(self, call: Call, until: float) -> Reply:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._over(self._connect(until), call, until)
        try:
            return self._over(connection, call, until)
        except _StaleError:
            # The server closed it while nobody used it: what was sent was not read.
            return self._over(self._connect(until), call, until)

    def _connect(self, until: float) -> HTTPConnection:
        seconds = self._left(until)
        if self._context is None:
            connection = HTTPConnection(self._netloc, timeout=seconds)
        else:
            connection = HTTPSConnection(self._netloc, timeout=seconds, context=self._context)
        try:
            connection.connect()
        except TimeoutError as error:
            raise self._late() from error
        except (OSError, HTTPException) as error:
            raise UpstreamDownError(
                f"expected an upstream at {self.url}, got no connection "
                f"({type(error).__name__}): start it or correct its address",
                pause_s=_PAUSE_S,
            ) from error
        return connection

    def _over(self, connection: HTTPConnection, call: Call, until: float) -> Reply:
        """Over this connection, which is kept for the next where it is still good."""
        method = "GET" if call.body is None else "POST"
        try:
            self._limit(connection, until)
            connection.request(
                method, self._path + call.suffix, call.body, {**self._headers, **call.headers}
            )
            response = connection.getresponse()
            body = self._body(connection, response, until)
        except TimeoutError as error:
            connection.close()
            raise self._late() from error
        except (ConnectionResetError, BrokenPipeError) as error:
            connection.close()
            raise _StaleError(
                f"expected an answer from {self.url}, it closed the connection: look at its log"
            ) from error
        except (OSError, HTTPException) as error:
            connection.close()
            raise UpstreamDownError(
                f"expected an answer from {self.url}, got {type(error).__name__}: look at its log"
            ) from error
        except UpstreamError:
            connection.close()
            raise
        if response.will_close or len(self._idle) >= _MOST_IDLE:
            connection.close()
        else:
            self._idle.append(connection)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(status=response.status, headers=headers, body=body)

    def _body(self, connection: HTTPConnection, response: HTTPResponse, until: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        while chunk := response.read1(_CHUNK):
            parts.append(chunk)
            size += len(chunk)
            if size > self._most:
                raise UpstreamAnswerError(
                    f"expected an answer of at most {self._most} bytes from {self.url}, got more"
                )
            self._limit(connection, until)
        if response.length:
            raise UpstreamDownError(
                f"expected a whole answer from {self.url}, got a part of it: look at its log"
            )
        response.close()  # which leaves the connection to the next request
        return b"".join(parts)

    def _limit(self, connection: HTTPConnection, until: float) -> None:
        if connection.sock is not None:
            connection.sock.settimeout(self._left(until))

    def _left(self, until: float) -> float:
        seconds = until - self._clock()
        if seconds <= 0:
            raise self._late()
        return seconds

    def _late(self) -> UpstreamDownError:
        return UpstreamDownError(
            f"expected an answer from {self.url} within {self._timeout_s:g} s, got none in time: "
            "allow more or find out why it is slow"
        )


class _StaleError(UpstreamDownError):
    """The connection was closed before an answer began."""


def _close_all(connections: deque[HTTPConnection]) -> None:
    while connections:
        connections.pop().close()


def _checked_url(url: str) -> tuple[bool, str, str]:
    """Whether it is TLS, host and port, and the path without a slash at its end."""
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise InputError(f"expected an http address, got {url!r:.100}: correct it") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise InputError(f"expected an address http://HOST:PORT/…, got {url!r:.100}: correct it")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(
            "expected an address without credentials, query and fragment, got one with: name the "
            "variable that holds a token with token_env"
        )
    if any(not "!" <= each <= "~" for each in url):
        raise InputError(f"expected an address in ASCII without spaces, got {url!r:.100}")
    return parts.scheme == "https", parts.netloc, parts.path.rstrip("/")


def _authorisation(variable: str) -> dict[str, str]:
    if not variable:
        return {}
    token = os.environ.get(variable, "")
    if not token or any(not "!" <= each <= "~" for each in token):
        raise InputError(f"expected a token in the environment variable {variable}, got none")
    return {"Authorization": f"Bearer {token}"}


def _good(reply: Reply) -> Reply:
    if 200 <= reply.status < 300:
        return reply
    if reply.status in _OVERLOADED:
        pause = _seconds(reply.headers.get("retry-after", ""))
        raise UpstreamDownError(
            f"expected an answer, the upstream says {reply.status}: come back later",
            pause_s=max(pause, _PAUSE_S),
            retry_after_s=max(pause, 1.0),
        )
    if 400 <= reply.status < 500:
        raise UpstreamRefusedError(
            reply.status,
            f"expected an upstream that takes this request, it says {reply.status}: check the "
            "mapping, its address and its key",
        )
    raise UpstreamDownError(
        f"expected an answer, the upstream says {reply.status}: look at its log"
    )


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
