"""The console's files, and the policy under which a browser may run them."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from another place, and no script or style that is written into the page."""
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox"
)
"""Reports are one file with their styles in it, and have no scripts."""

HTML = "text/html; charset=utf-8"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": HTML,
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@cache
def static_files() -> dict[str, tuple[bytes, str]]:
    """Name → content and media type of every file; there are no others to ask for."""
    folder = files("gatekeeper.service.console") / "static"
    return {
        each.name: (each.read_bytes(), _TYPES[each.name.rpartition(".")[2]])
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
    }


def page_headers(policy: str = POLICY) -> dict[str, str]:
    """Headers of everything that a browser is given."""
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cache-Control": "no-cache",
    }


def static_response(request: Request, name: str) -> Response:
    """One of the files; 304 where the browser has it already.

    Raises:
        KeyError: there is none of that name.
    """
    content, media_type = static_files()[name]
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**page_headers(), "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
