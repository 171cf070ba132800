"""A calibration or an evaluation as one offline HTML file: for managers first, then engineers."""

from __future__ import annotations

from gatekeeper.report.content import (
    FAMILY_METRICS,
    METHODS,
    CurvePoints,
    GalleryItem,
    ReportContent,
)
from gatekeeper.report.evaluation_gallery import gallery_of
from gatekeeper.report.evaluation_page import (
    EvaluationContent,
    render_evaluation,
    write_evaluation,
)
from gatekeeper.report.html import MAX_BYTES, render_report, write_report

__all__ = [
    "FAMILY_METRICS",
    "MAX_BYTES",
    "METHODS",
    "CurvePoints",
    "EvaluationContent",
    "GalleryItem",
    "ReportContent",
    "gallery_of",
    "render_evaluation",
    "render_report",
    "write_evaluation",
    "write_report",
]
