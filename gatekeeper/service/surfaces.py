"""What is operated is not what is asked: it has a port of its own, or stays at home."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from gatekeeper.service.body_limit import local_path

OPERATION = ("/metrics", "/console", "/admin")
"""What only the operator may see, with all that is below it."""
PROBES = ("/healthz", "/readyz")
"""What both may."""
BOTH = (*PROBES, "/v1/feedback")
"""What the admin port answers to besides: labels come from the console's review page, too."""


class Surfaces:
    """A pure ASGI guard that looks at the port at which a request came in.

    With an admin port, metrics and the console are shown there and nowhere else, and decisions are
    made anywhere but there. Without one, they are shown where the service can be reached from this
    machine only.

    Args:
        app: What is guarded.
        host: Address that the service listens on.
        admin_port: The admin port, 0 where there is none.

    Raises:
        HTTPException: 404, as for any address that does not exist.
    """

    def __init__(self, app: ASGIApp, *, host: str, admin_port: int) -> None:
        self._app = app
        self._admin_port = admin_port
        self._at_home = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on where it came in at the right door."""
        if scope["type"] == "http" and not self._admits(scope):
            raise HTTPException(404)
        await self._app(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        path = local_path(scope)
        operation = any(path == each or path.startswith(f"{each}/") for each in OPERATION)
        server = scope.get("server")
        if self._admin_port and server is not None and server[1] == self._admin_port:
            return operation or path in BOTH
        return not operation or (not self._admin_port and self._at_home)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only.

    Example:
        >>> is_loopback("::1"), is_loopback("0.0.0.0")
        (True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
