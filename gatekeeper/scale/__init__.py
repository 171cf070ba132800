"""The same stages on a Ray cluster; needs the extra ``[ray]`` once it is used."""

from __future__ import annotations

from gatekeeper.scale.batch import RayBatchOptions, RayRunner

__all__ = ["RayBatchOptions", "RayRunner"]
