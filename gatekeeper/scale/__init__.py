"""The same stages on a Ray cluster; needs the extra ``[ray]`` once it is used."""

from __future__ import annotations

from gatekeeper.scale.batch import RayBatchOptions, RayRunner
from gatekeeper.scale.serving import RayGatekeeper, RayServeOptions, ray_serving, settings_for

__all__ = [
    "RayBatchOptions",
    "RayGatekeeper",
    "RayRunner",
    "RayServeOptions",
    "ray_serving",
    "settings_for",
]
