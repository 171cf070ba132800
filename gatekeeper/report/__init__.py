"""One calibration as one offline HTML file: for a manager on page one, for an engineer below."""

from __future__ import annotations

from gatekeeper.report.content import (
    FAMILY_METRICS,
    METHODS,
    CurvePoints,
    GalleryItem,
    ReportContent,
)
from gatekeeper.report.html import MAX_BYTES, render_report, write_report

__all__ = [
    "FAMILY_METRICS",
    "MAX_BYTES",
    "METHODS",
    "CurvePoints",
    "GalleryItem",
    "ReportContent",
    "render_report",
    "write_report",
]
