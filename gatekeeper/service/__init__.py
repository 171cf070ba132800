"""The gate over HTTP."""

from __future__ import annotations

from gatekeeper.service.app import create_app
from gatekeeper.service.host import Host, ServedGatekeeper
from gatekeeper.service.server import serve

__all__ = ["Host", "ServedGatekeeper", "create_app", "serve"]
