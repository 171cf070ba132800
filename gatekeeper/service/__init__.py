"""The gate over HTTP."""

from __future__ import annotations

from gatekeeper.service.app import create_app
from gatekeeper.service.host import Host, Load, ServedGatekeeper
from gatekeeper.service.server import serve
from gatekeeper.service.versions import Follow

__all__ = ["Follow", "Host", "Load", "ServedGatekeeper", "create_app", "serve"]
