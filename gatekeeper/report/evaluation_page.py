"""An evaluation as one offline HTML file: PASS or FAIL on page one, all figures below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.evaluation import Evaluation, View, views_of
from gatekeeper.evaluation.scopes import Scope, scopes_of
from gatekeeper.metrics import RiskCoverageCurve, reliability_bins
from gatekeeper.report.charts import (
    LEGEND,
    ReliabilityChart,
    reliability_chart,
    risk_coverage_chart,
)
from gatekeeper.report.content import CurvePoints, GalleryItem
from gatekeeper.report.evaluation_tables import (
    COMPARISON_COLUMNS,
    MODEL_COLUMNS,
    comparison_rows,
    corruption_table,
    heat_maps,
    model_rows,
    scope_rows,
    scopes_shown,
)
from gatekeeper.report.evaluation_verdict import (
    SCOPE_TITLES,
    banner,
    certificate_lines,
    data_lines,
    evaluation_tiles,
    model_kinds,
    not_covered_lines,
    requirement_rows,
)
from gatekeeper.report.gallery import card
from gatekeeper.report.heat_map import shade_styles
from gatekeeper.report.html import render_page, write_page
from gatekeeper.report.tables import fact_rows
from gatekeeper.types import FloatArray

_ORACLE_POINTS = 120
_CURVE_POINTS = 400


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationContent:
    """Everything that the page of an evaluation shows.

    Attributes:
        evaluation: What was measured.
        record: The content of ``evaluation.json``.
        gallery: Images of the candidate, in order.

    Raises:
        InputError: the record is of another evaluation.
    """

    evaluation: Evaluation
    record: Mapping[str, Any]
    gallery: Sequence[GalleryItem]

    def __post_init__(self) -> None:
        """Refuse a record that speaks of other models."""
        names = [subject.name for subject in self.evaluation.subjects]
        if [model["name"] for model in self.record["models"]] != names:
            raise InputError(f"expected the record of {', '.join(names)}, got that of others")


def render_evaluation(content: EvaluationContent) -> str:
    """The page as HTML; the same content gives the same text.

    Args:
        content: What to show. All text in it is escaped.
    """
    evaluation, record = content.evaluation, content.record
    style, sentence = banner(record)
    columns, rows = corruption_table(evaluation, evaluation.subjects[0].name)
    view = {
        "verdict": record["verdict"],
        "style": style,
        "sentence": sentence,
        "candidate": record["candidate"],
        "dataset": record["data"]["name"],
        "tiles": evaluation_tiles(evaluation),
        "requirements": requirement_rows(record),
        "certified": certificate_lines(record),
        "data": data_lines(record),
        "not_covered": not_covered_lines(record),
        "target_risk": evaluation.target_risk,
        "cards": [card(item) for item in content.gallery],
        "gated": evaluation.subjects[0].fitted is not None,
        "legend": list(LEGEND.items()),
        "curves": _curve_views(evaluation),
        "heat_maps": heat_maps(evaluation),
        "shades": shade_styles(),
        "diagrams": _diagrams(evaluation),
        "corruption_columns": columns,
        "corruptions": rows,
        "scopes": [SCOPE_TITLES[scope] for scope in scopes_shown(evaluation)],
        "scope_tables": [
            (subject.name, scope_rows(evaluation, subject.name)) for subject in evaluation.subjects
        ],
        "reference": record["reference"],
        "model_columns": [column[0] for column in MODEL_COLUMNS],
        "models": model_rows(evaluation),
        "kinds": model_kinds(record),
        "comparison_columns": COMPARISON_COLUMNS,
        "comparisons": comparison_rows(record),
        "command": record["run"]["command"],
        "lineage": fact_rows(_lineage(record)),
    }
    return render_page("evaluation.html.j2", view)


def write_evaluation(path: Path, content: EvaluationContent) -> None:
    """Render and write the page.

    Args:
        path: The file; it is replaced.
        content: What to show.

    Raises:
        InputError: the page would be 2 MB or more.
    """
    write_page(path, render_evaluation(content), content.gallery)


def _lineage(record: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "data": {key: record["data"][key] for key in ("name", "source", "digest")},
    }
    for model in record["models"]:
        facts[model["name"]] = {
            "classifier": model["digest"],
            "bundle": model["bundle"],
            "source": model["source"],
            "MLflow run": model["run_id"],
        }
    return {
        **facts,
        "seed": record["seed"],
        "redraws per interval": record["n_draws"],
        "reference of corruption errors": record["reference"] or None,
        "date": record["run"]["date"],
        "seconds": record["run"]["seconds"],
        "versions": record["run"]["versions"],
    }


def _main_scopes(evaluation: Evaluation, names: Sequence[str]) -> list[Scope]:
    found = scopes_of(evaluation.grid, held_out=evaluation.held_out, stream=evaluation.stream)
    return [scope for scope in found if scope.name in names]


def _curve_views(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Risk–coverage of the candidate on every main scope but the mixture of all, if parts exist."""
    subject = evaluation.subjects[0]
    views = views_of(evaluation.answers[subject.name])
    names = [name for name in scopes_shown(evaluation) if name != "seen"]
    found = []
    for scope in _main_scopes(evaluation, names):
        taken = {method: scope.of(view) for method, view in views.items()}
        curves = {method: _curve(view) for method, view in taken.items()}
        last = taken["policy"] if "policy" in taken else taken["msp"]
        error = float(1.0 - last.correct.mean())
        curves |= {"oracle": _oracle(error), "random": _flat(error)}
        point = _operating_point(last)
        chart = risk_coverage_chart(
            curves, target_risk=evaluation.target_risk, operating_point=point
        )
        hindsight = [
            (method, _value(evaluation, method, scope.name, "coverage_at_risk")) for method in taken
        ]
        title = SCOPE_TITLES[scope.name].capitalize()
        found.append({"title": title, "chart": chart, "point": point, "hindsight": hindsight})
    return found


def _value(evaluation: Evaluation, method: str, scope: str, metric: str) -> float | None:
    row = evaluation.figure(evaluation.subjects[0].name, method, scope, metric)
    return None if row is None else row.value


def _curve(view: View) -> CurvePoints:
    curve = RiskCoverageCurve.from_scores(view.scores.ravel(), view.correct.ravel())
    n_points = len(curve.coverage)
    keep = np.unique(np.linspace(0, n_points - 1, min(n_points, _CURVE_POINTS)).astype(int))
    return CurvePoints(coverage=curve.coverage[keep], selective_risk=curve.selective_risk[keep])


def _oracle(error: float) -> CurvePoints:
    """Right answers first: no risk up to 1 − e, then what is left over."""
    if error in (0.0, 1.0):
        return _flat(error)
    coverage: FloatArray = np.concatenate(
        [[1e-3], np.linspace(1.0 - error, 1.0, _ORACLE_POINTS)]
        if error < 1.0 - 1e-3
        else [np.linspace(1.0 - error, 1.0, _ORACLE_POINTS)]
    )
    risk = np.clip((coverage - (1.0 - error)) / coverage, 0.0, 1.0)
    return CurvePoints(coverage=coverage, selective_risk=risk)


def _flat(error: float) -> CurvePoints:
    return CurvePoints(coverage=np.array([1e-3, 1.0]), selective_risk=np.array([error, error]))


def _operating_point(view: View) -> tuple[float, float] | None:
    if view.accepted is None or not view.accepted.any():
        return None
    wrong = float((~view.correct)[view.accepted].mean())
    return float(view.accepted.mean()), wrong


def _diagrams(evaluation: Evaluation) -> list[tuple[str, ReliabilityChart]]:
    """Before (top probability of the raw answer) and after (final reliability)."""
    views = views_of(evaluation.answers[evaluation.subjects[0].name])
    names = [name for name in scopes_shown(evaluation) if name in ("declared", "held_out", "all")]
    if len(names) == 3:
        names.remove("all")
    found = []
    for scope in _main_scopes(evaluation, names):
        for method, title in (("msp", "before: top probability"), ("policy", "after: reliability")):
            if method in views:
                view = scope.of(views[method])
                bins = reliability_bins(view.stated.ravel(), view.correct.ravel())
                heading = f"{SCOPE_TITLES[scope.name].capitalize()}, {title}"
                found.append((heading, reliability_chart(bins)))
    return found
