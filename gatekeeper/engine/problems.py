"""Why an engine gives no decision.

GatekeeperError
└── EngineError
    ├── OverloadError     refused at the door: come back later
    ├── DeadlineError     accepted, and too late before it was its turn
    ├── EngineDownError   no engine runs: loading, restarting, failed or closed
    └── StageError        this image's stage failed, and the policy of the stage is to say so
        └── NotFiniteError    numbers that are none
"""

from __future__ import annotations

from gatekeeper.errors import GatekeeperError


class EngineError(GatekeeperError):
    """No decision; the message is meant for the client."""


class OverloadError(EngineError):
    """More work than can be done in time.

    Args:
        why: ``"queue_full"`` or ``"too_late"``.
        retry_after_s: When to come back, at least 1.
        message: The sentence.
    """

    def __init__(self, why: str, retry_after_s: int, message: str) -> None:
        super().__init__(message)
        self.why = why
        self.retry_after_s = retry_after_s


class DeadlineError(EngineError):
    """The deadline passed before the work was done."""


class EngineDownError(EngineError):
    """No engine runs at the moment."""


class StageError(EngineError):
    """A stage failed on this image; its neighbours are not concerned."""


class NotFiniteError(StageError):
    """A stage gave numbers that are not finite for this image."""
