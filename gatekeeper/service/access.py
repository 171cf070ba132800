"""Who may ask for what, and how often."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gatekeeper.errors import InputError
from gatekeeper.service.body_limit import local_path
from gatekeeper.service.errors import ForbiddenError, RateLimitError, UnauthorisedError

SCOPES = ("infer", "metrics", "feedback", "admin")
"""What a key can be good for: asking for decisions, reading metrics and what operators see, saying
what an image truly showed, and moving versions."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIELDS = {"name", "sha256", "scopes", "rate_per_s", "burst"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key; of the secret itself only the hash is known.

    Attributes:
        name: Goes into logs and audit records.
        sha256: Hexadecimal sha256 of the secret.
        scopes: Some of :data:`SCOPES`.
        rate_per_s: Requests per second in the long run, above 0.
        burst: Requests at once, at least 1.

    Raises:
        InputError: a field cannot be meant.
    """

    name: str
    sha256: str
    scopes: frozenset[str]
    rate_per_s: float
    burst: int

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not _NAME.fullmatch(self.name):
            raise InputError(f"expected letters, digits, . _ - as name of a key, got {self.name!r}")
        if not _DIGEST.fullmatch(self.sha256):
            raise InputError(f"expected 64 lower-case hex digits as sha256 of key {self.name!r}")
        if not self.scopes or not self.scopes <= set(SCOPES):
            raise InputError(
                f"expected scopes of {', '.join(SCOPES)} for key {self.name!r}, got "
                f"{sorted(self.scopes)}"
            )
        if not (0 < self.rate_per_s < math.inf and self.burst >= 1):
            raise InputError(f"expected rate_per_s above 0 and burst of at least 1 ({self.name!r})")


def read_keys(text: str) -> tuple[Key, ...]:
    """The keys of a TOML file: an array of tables ``keys`` with the fields of :class:`Key`.

    Raises:
        InputError: the text is not that, there is no key, or a name or hash occurs twice.
    """
    try:
        nodes = tomllib.loads(text).get("keys")
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"expected keys as TOML, got other text: {error}") from error
    if not isinstance(nodes, list) or not nodes:
        raise InputError("expected at least one [[keys]] table, got none: add one")
    keys = tuple(_key(node) for node in nodes)
    for field in ("name", "sha256"):
        if len({getattr(key, field) for key in keys}) < len(keys):
            raise InputError(f"expected each {field} once among the keys, got one twice")
    return keys


def _key(node: object) -> Key:
    if not isinstance(node, dict) or set(node) != _FIELDS:
        raise InputError(f"expected {', '.join(sorted(_FIELDS))} in each of [[keys]]")
    scopes, rate, burst = node["scopes"], node["rate_per_s"], node["burst"]
    if not (
        isinstance(node["name"], str)
        and isinstance(node["sha256"], str)
        and isinstance(scopes, list)
        and all(isinstance(each, str) for each in scopes)
        and isinstance(rate, int | float)
        and isinstance(burst, int)
    ):
        raise InputError("expected text, a list of text and numbers in [[keys]], got other types")
    return Key(
        name=node["name"],
        sha256=node["sha256"],
        scopes=frozenset(scopes),
        rate_per_s=rate,
        burst=burst,
    )


class TokenBucket:
    """Lets ``burst`` requests through at once and ``rate_per_s`` in the long run.

    Args:
        rate_per_s: Above 0.
        burst: At least 1.
    """

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._tokens = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> float:
        """Take a token; 0 if there was one, else the seconds until there is."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


class Access:
    """A pure ASGI guard: a POST needs the scope ``infer``, ``/metrics`` needs ``metrics``.

    Below ``/admin`` a GET needs ``metrics`` and a POST ``admin``. ``/v1/feedback`` and what the
    page for labelling asks need ``feedback``, because labels can withdraw a certificate and the
    images are other people's; what else the console reads needs ``metrics``. Everything else is
    open: whether the service lives, is ready and what it is. The secret comes in
    ``Authorization: Bearer …`` or ``X-API-Key``; one in a URL is never read, because URLs end in
    logs.

    Args:
        app: What is guarded.
        keys: At least one.
        clock: Monotonic seconds.

    Raises:
        UnauthorisedError: no key, or one that is not known.
        ForbiddenError: the key is not good for that.
        RateLimitError: too often; it says when to come back.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Sequence[Key],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._keys = tuple(keys)
        self._buckets = {key.name: TokenBucket(key.rate_per_s, key.burst) for key in keys}
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the key, then pass the request on."""
        if scope["type"] == "http" and (needed := _needed(scope)):
            self._check(scope, needed)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope, needed: str) -> None:
        secret = _secret(Headers(scope=scope))
        if secret is None:
            raise UnauthorisedError(
                "expected a key in Authorization: Bearer or X-API-Key, got none: send yours"
            )
        key = find(self._keys, secret)
        if key is None:
            raise UnauthorisedError("expected a known key, got another: check it")
        if needed not in key.scopes:
            raise ForbiddenError(
                f"expected a key of scope {needed!r}, this one is not: use another"
            )
        wait = self._buckets[key.name].take(self._clock())
        if wait > 0:
            seconds = math.ceil(wait)
            raise RateLimitError(
                seconds,
                f"expected at most {key.rate_per_s:g} requests per second with this key, got more: "
                f"come back in {seconds} s",
            )
        state: dict[str, Any] = scope.setdefault("state", {})
        state["key"] = key.name


def find(keys: Sequence[Key], secret: str) -> Key | None:
    """The key of a secret; takes equally long whichever it is, and whether it is one."""
    digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
    found = None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


def _secret(headers: Headers) -> str | None:
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and bearer.strip():
        return bearer.strip()
    return headers.get("x-api-key") or None


def _needed(scope: Scope) -> str | None:
    path, posts = local_path(scope), scope["method"] == "POST"
    if path.startswith("/admin/"):
        return "admin" if posts else "metrics"
    if path == "/metrics":
        return "metrics"
    if path == "/v1/feedback" or path.startswith("/console/api/review"):
        return "feedback"
    if path.startswith("/console/api/") and not posts:
        return "metrics"
    return "infer" if posts else None
