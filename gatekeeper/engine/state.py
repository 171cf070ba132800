"""Where an engine stands."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an engine stands; only a ready one lets work in."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    CLOSED = "closed"
