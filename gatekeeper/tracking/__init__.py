"""Runs, versions and aliases in mlflow; importing this room does not import mlflow."""

from __future__ import annotations

from gatekeeper.tracking.alias import ServedAlias, promote_checked
from gatekeeper.tracking.log import LoggedVersion, log_fit
from gatekeeper.tracking.registry import CHALLENGER, CHAMPION, RegisteredVersion, Registry
from gatekeeper.tracking.serving_run import ServingRun
from gatekeeper.tracking.store import TrackingStore

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "LoggedVersion",
    "RegisteredVersion",
    "Registry",
    "ServedAlias",
    "ServingRun",
    "TrackingStore",
    "log_fit",
    "promote_checked",
]
