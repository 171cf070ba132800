"""The page in front of people: trying out, live traffic, versions, reports, review."""

from __future__ import annotations

from gatekeeper.service.console.history import COUNTERS, Traffic
from gatekeeper.service.console.routes import (
    CONSOLE,
    CONSOLE_POSTS,
    ConsoleParts,
    make_console_router,
)
from gatekeeper.service.console.trial import Bench

__all__ = [
    "CONSOLE",
    "CONSOLE_POSTS",
    "COUNTERS",
    "Bench",
    "ConsoleParts",
    "Traffic",
    "make_console_router",
]
