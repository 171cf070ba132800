"""Gatekeeper: the one place where all seams meet."""

from __future__ import annotations

from gatekeeper.pipeline.gatekeeper import POLICY, Gatekeeper
from gatekeeper.pipeline.looks import FirstLook, SecondLook

__all__ = ["POLICY", "FirstLook", "Gatekeeper", "SecondLook"]
