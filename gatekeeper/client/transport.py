"""Requests over kept connections, asked again where the service says so."""

from __future__ import annotations

import http.client
import json
import queue
import random
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from gatekeeper.client.answers import ServiceError, UnreachableError
from gatekeeper.errors import InputError

_COME_BACK = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Transport:
    """Asks one service; safe to use from several threads.

    Args:
        url: Its address.
        key: API key, or None.
        timeout_s: Time that one try may take, above 0.
        patience_s: Time in all for waiting between tries, at least 0.
        sleep: Waits, in seconds.

    Raises:
        InputError: the address or a number cannot be meant.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None,
        timeout_s: float,
        patience_s: float,
        sleep: Callable[[float], None],
    ) -> None:
        if not (timeout_s > 0 and patience_s >= 0):
            raise InputError(
                f"expected timeout_s above 0 and patience_s of at least 0, got {timeout_s} and "
                f"{patience_s}"
            )
        self._new_connection, self._path = _connections(url, timeout_s)
        self._url = url
        self._patience_s = patience_s
        self._sleep = sleep
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()

    def close(self) -> None:
        """Close the connections that are open and idle."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return

    def ask(self, method: str, path: str, data: bytes, kind: str) -> tuple[dict[str, Any], str]:
        """The body of a success and the id of the request; waits and asks again within reason.

        Args:
            method: Such as POST.
            path: Below the address.
            data: Body of the request.
            kind: Its media type.

        Raises:
            ServiceError: the service refused.
            UnreachableError: it did not answer, or it is no gatekeeper.
        """
        left, pause = self._patience_s, _FIRST_PAUSE_S
        while True:
            wanted: float | None = None
            try:
                status, headers, content = self.once(method, path, data, kind)
            except UnreachableError as unreachable:
                error: ServiceError = unreachable
            else:
                if status == HTTPStatus.OK:
                    return self._object(content), headers.get("X-Request-ID", "")
                error = self._refusal(status, headers, content)
                if status not in _COME_BACK:
                    raise error
                wanted = _seconds(headers.get("Retry-After"))
            # Not all at the same moment: whoever was sent away would come back together.
            wait = (pause if wanted is None else wanted) * random.uniform(1.0, 1.25)  # noqa: S311
            if wait > left:
                raise error
            self._sleep(wait)
            left -= wait
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def once(
        self, method: str, path: str, data: bytes | None, kind: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and content of one answer, whatever it says.

        Raises:
            UnreachableError: there is none.
        """
        headers = {**self._headers, **({"Content-Type": kind} if kind else {})}
        while True:
            connection, used = self._take()
            try:
                connection.request(method, self._path + path, data, headers)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # A connection that was idle may have been closed meanwhile: that says nothing.
                if used and not isinstance(error, TimeoutError):
                    continue
                raise UnreachableError(
                    f"expected an answer of {self._url}, got: {error!r}"
                ) from error
            if answer.will_close:
                connection.close()
            else:
                self._idle.put(connection)
            return answer.status, answer.headers, content

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        try:
            return self._idle.get_nowait(), True
        except queue.Empty:
            return self._new_connection(), False

    def _object(self, content: bytes) -> dict[str, Any]:
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self.strange("a JSON object")
        return body

    def _refusal(
        self, status: int, headers: http.client.HTTPMessage, content: bytes
    ) -> ServiceError:
        try:
            error = json.loads(content)["error"]
            return ServiceError(
                str(error["message"]),
                status=status,
                code=str(error["code"]),
                reason=error.get("reason"),
                request_id=headers.get("X-Request-ID", ""),
            )
        except (ValueError, LookupError, TypeError, AttributeError):
            # Of a proxy in between, most likely.
            return ServiceError(
                f"expected an answer of a gatekeeper at {self._url}, got status {status}",
                status=status,
                code="unknown",
            )

    def strange(self, expected: str) -> UnreachableError:
        """The error for an answer that is none of the service's."""
        return UnreachableError(
            f"expected {expected} of a gatekeeper at {self._url}, got something else: check the "
            "address"
        )


def _connections(
    url: str, timeout_s: float
) -> tuple[Callable[[], http.client.HTTPConnection], str]:
    """What makes connections to an address, and the path before every path."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"expected an address such as http://127.0.0.1:8080, got {url}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username:
        raise InputError(
            "expected an address such as http://127.0.0.1:8080, without user and query (a key has "
            "an argument of its own)"
        )
    host, path = parts.hostname, parts.path.rstrip("/")
    if parts.scheme == "http":
        return lambda: http.client.HTTPConnection(host, port, timeout=timeout_s), path
    context = ssl.create_default_context()
    return (
        lambda: http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context),
        path,
    )


def _seconds(text: str | None) -> float | None:
    """Seconds of a Retry-After; None where it has none or names a date."""
    try:
        return None if text is None else max(0.0, float(int(text)))
    except ValueError:
        return None
