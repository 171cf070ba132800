"""What is wrong with a request of the Open Inference Protocol."""

from __future__ import annotations

from gatekeeper.errors import InputError


class WireError(InputError):
    """A request that cannot be read; the message is what the client gets under ``error``."""
