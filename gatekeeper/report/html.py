"""Content → one HTML file that needs nothing else: no network, no script, no second file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from gatekeeper.errors import InputError
from gatekeeper.report.arbitration import arbitration_view
from gatekeeper.report.charts import LEGEND, reliability_chart, risk_coverage_chart
from gatekeeper.report.content import METHODS, STREAMS, GalleryItem, ReportContent
from gatekeeper.report.gallery import card
from gatekeeper.report.levels_view import study_view
from gatekeeper.report.numbers import decimal, percent, percent_range, short_percent, whole
from gatekeeper.report.tables import FAMILY_COLUMNS, fact_rows, family_rows, stream_rows
from gatekeeper.report.verdict import not_covered, sentence, tiles

MAX_BYTES = 2_000_000

_STREAM_TITLES = {
    "clean": "Clean",
    "declared": "Declared traffic",
    "open": "Open traffic",
    "seen_families": "Seen families",
    "held_out_families": "Held-out families",
}
_SHARE_KEYS = ("target_risk", "confidence_level", "upper_bound", "certified_coverage")
# Parts of the summary that have a place of their own on the page.
_SHOWN = (
    *("certified", "target_risk", "confidence_level", "clean_harm_rate", "dataset"),
    *("families", "flags"),
    *STREAMS,
)


def render_report(content: ReportContent) -> str:
    """The report as HTML; the same content gives the same text.

    Args:
        content: What to show. All text in it is escaped.

    Returns:
        A complete page with inline CSS, SVG and PNG.
    """
    return render_page("report.html.j2", _view(content))


def render_page(template: str, view: Mapping[str, Any]) -> str:
    """A template of this room, filled; all text in it is escaped.

    Args:
        template: Its file.
        view: What it reads; a name that is missing is an error.
    """
    environment = Environment(
        loader=PackageLoader("gatekeeper.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for form in (decimal, percent, percent_range, short_percent, whole):
        environment.filters[form.__name__] = form
    return environment.get_template(template).render(view)


def write_report(path: Path, content: ReportContent) -> None:
    """Render and write the report.

    Args:
        path: The file; it is replaced.
        content: What to show.

    Raises:
        InputError: the page would be 2 MB or more.
    """
    write_page(path, render_report(content), content.gallery)


def write_page(path: Path, text: str, gallery: Sequence[GalleryItem]) -> None:
    """Write a page.

    Args:
        path: The file; it is replaced.
        text: The page.
        gallery: The images on it, for the error.

    Raises:
        InputError: the page would be 2 MB or more.
    """
    page = text.encode("utf-8")
    if len(page) >= MAX_BYTES:
        images = sum(
            len(shown.uri)
            for each in map(card, gallery)
            for shown in (each.original, each.restored)
            if shown is not None
        )
        raise InputError(
            f"a report must stay below {MAX_BYTES:,} bytes, got {len(page):,}, of which "
            f"{images:,} are the images of {len(gallery)} gallery items; show fewer"
        )
    path.write_bytes(page)


def _view(content: ReportContent) -> dict[str, Any]:
    """What the template reads: everything decided and formatted, nothing left to compute."""
    certificate = dict(content.certificate)
    if certificate["reason"] is None:  # nothing stood in the way: no row
        del certificate["reason"]
    arbitration = arbitration_view(certificate)
    certificate.pop("arbitration", None)  # it has a section of its own
    return {
        "dataset": content.summary["dataset"],
        "certified": bool(content.summary["certified"]),
        "target_risk": content.summary["target_risk"],
        "sentence": sentence(content),
        "conditions": certificate.pop("conditions", None) or (),
        "not_covered": not_covered(content),
        "tiles": tiles(content),
        "cards": [card(item) for item in content.gallery],
        "legend": [(method, LEGEND[method]) for method in METHODS],
        "curves": _curve_views(content),
        "diagrams": [
            (_title(name), reliability_chart(bins)) for name, bins in content.diagrams.items()
        ],
        "family_columns": FAMILY_COLUMNS,
        "families": family_rows(content.families, content.held_out),
        "arbitration": arbitration,
        "streams": [(_title(name), _flag(content, name)) for name in content.streams],
        "stream_rows": stream_rows(content.streams),
        "levels": None if content.levels is None else study_view(content.levels),
        "certificate": fact_rows(certificate, shares=_SHARE_KEYS),
        "lineage": fact_rows(
            {
                **content.lineage,
                **{key: value for key, value in content.summary.items() if key not in _SHOWN},
            }
        ),
    }


def _title(name: str) -> str:
    return _STREAM_TITLES.get(name, name.replace("_", " "))


def _flag(content: ReportContent, stream: str) -> Mapping[str, Any] | None:
    flags: Mapping[str, Mapping[str, Any]] = content.summary.get("flags") or {}
    return flags.get(stream)


def _curve_views(content: ReportContent) -> list[dict[str, Any]]:
    views = []
    for stream, curves in content.curves.items():
        block = content.streams.get(stream)
        point = None
        if block is not None and None not in (block["coverage"], block["selective_risk"]):
            point = (block["coverage"], block["selective_risk"])
        chart = risk_coverage_chart(
            curves, target_risk=content.summary["target_risk"], operating_point=point
        )
        hindsight = (block or {}).get("coverage_at_risk") or {}
        views.append(
            {
                "title": _title(stream),
                "chart": chart,
                "point": point,
                "hindsight": [(method, hindsight.get(method)) for method in METHODS],
            }
        )
    return views
