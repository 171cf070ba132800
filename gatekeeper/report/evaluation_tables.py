"""Tables of an evaluation: figures by scope, corruption by corruption, models side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gatekeeper.evaluation import MAIN_SCOPES, Evaluation, Measured
from gatekeeper.report.evaluation_verdict import SCOPE_TITLES, interval_of
from gatekeeper.report.heat_map import HeatMap, heat_map
from gatekeeper.report.numbers import decimal, percent, percent_range, whole
from gatekeeper.report.tables import Cell, Row

Form = Callable[[float], str]


def _fine(value: float) -> str:
    return decimal(value, 4)


def _range(form: Form) -> Callable[[float, float], str]:
    return lambda low, high: f"{form(low)} – {form(high)}"


# (heading, second line, method, metric, formatter)
_ROWS: tuple[tuple[str, str, str, str, Form], ...] = (
    ("Accuracy with no gate", "", "msp", "accuracy", percent),
    ("Accuracy, final answers", "if nothing abstained", "policy", "accuracy", percent),
    ("Accepted", "coverage", "policy", "coverage", percent),
    ("Wrong among accepted", "selective risk", "policy", "risk", percent),
    ("Restored", "", "policy", "restored", percent),
    ("Help : harm", "before abstention", "policy", "help_harm", lambda v: decimal(v, 1)),
    ("Harm", "right answers turned wrong", "policy", "harm", percent),
    ("Failure AUROC, policy", "higher is better", "policy", "failure_auroc", decimal),
    ("Failure AUROC, raw", "no restoration", "raw", "failure_auroc", decimal),
    ("Failure AUROC, MSP", "top probability", "msp", "failure_auroc", decimal),
    ("Coverage at target risk, policy", "with hindsight", "policy", "coverage_at_risk", percent),
    ("Coverage at target risk, raw", "with hindsight", "raw", "coverage_at_risk", percent),
    ("Coverage at target risk, MSP", "with hindsight", "msp", "coverage_at_risk", percent),
    ("AURC, policy", "lower is better", "policy", "aurc", _fine),
    ("AURC, raw", "", "raw", "aurc", _fine),
    ("AURC, MSP", "", "msp", "aurc", _fine),
    ("AUGRC, policy", "lower is better", "policy", "augrc", _fine),
    ("AUGRC, raw", "", "raw", "augrc", _fine),
    ("AUGRC, MSP", "", "msp", "augrc", _fine),
    ("ECE, policy", "of the final reliability", "policy", "ece", decimal),
    ("ECE, MSP", "of the raw answer", "msp", "ece", decimal),
    ("Debiased ECE, policy", "", "policy", "ece_debiased", decimal),
    ("Debiased ECE, MSP", "", "msp", "ece_debiased", decimal),
    ("Smooth ECE, policy", "", "policy", "smooth_ece", decimal),
    ("Smooth ECE, MSP", "", "msp", "smooth_ece", decimal),
    ("Brier score, policy", "lower is better", "policy", "brier", decimal),
    ("Brier score, MSP", "", "msp", "brier", decimal),
    ("mCE, policy", "against the reference", "policy", "mce", decimal),
    ("mCE, no gate", "against the reference", "msp", "mce", decimal),
    ("Relative mCE, policy", "", "policy", "relative_mce", decimal),
    ("Relative mCE, no gate", "", "msp", "relative_mce", decimal),
)


def scopes_shown(evaluation: Evaluation) -> tuple[str, ...]:
    """The main scopes that were evaluated."""
    name = evaluation.subjects[0].name
    return tuple(
        scope
        for scope in MAIN_SCOPES
        if evaluation.figure(name, "msp", scope, "accuracy") is not None
    )


def scope_rows(evaluation: Evaluation, model: str) -> tuple[Row, ...]:
    """One row per metric and method of a model, one cell per scope."""
    scopes = scopes_shown(evaluation)
    rows = []
    for heading, note, method, metric, form in _ROWS:
        found = [evaluation.figure(model, method, scope, metric) for scope in scopes]
        if any(each is not None for each in found):
            cells = tuple(figure_cell(evaluation, each, form) for each in found)
            rows.append(Row(name=heading, note=note, cells=cells))
    return tuple(rows)


def figure_cell(evaluation: Evaluation, row: Measured | None, form: Form) -> Cell:
    """A figure, its interval, and what it is to be held against."""
    if row is not None and row.metric == "help_harm":
        return _help_harm(evaluation, row, form)
    if row is None or row.value is None:
        return Cell(text=None)
    notes = [interval_of(row, percent_range if form is percent else _range(form))]
    if row.floor is not None:
        notes.append(f"noise floor {form(row.floor)}")
    lines = [
        (word, evaluation.figure(row.model, row.method, row.scope, f"{row.metric}_{word}"))
        for word in ("oracle", "random")
    ]
    notes += [
        f"{word} {form(other.value)}"
        for word, other in lines
        if other is not None and other.value is not None and not row.corruption
    ]
    return Cell(text=form(row.value), note="; ".join(note for note in notes if note))


def _help_harm(evaluation: Evaluation, row: Measured, form: Form) -> Cell:
    """Both counts; the ratio and its interval below."""
    counts = []
    for metric in ("help", "harm"):
        share = evaluation.figure(row.model, row.method, row.scope, metric, row.corruption)
        value = None if share is None else share.value
        counts.append(0 if value is None else round(value * row.n_rows))
    note = ""
    if row.value is not None:
        ends = interval_of(row, _range(form))
        note = f"ratio {form(row.value)}" + (f"; {ends}" if ends else "")
    return Cell(text=f"{whole(counts[0])} : {whole(counts[1])}", note=note)


CORRUPTION_COLUMNS: tuple[tuple[str, str, str, Form], ...] = (
    ("Accuracy with no gate", "msp", "accuracy", percent),
    ("Accuracy, final answers", "policy", "accuracy", percent),
    ("Accepted", "policy", "coverage", percent),
    ("Wrong among accepted", "policy", "risk", percent),
    ("Help : harm", "policy", "help_harm", lambda v: decimal(v, 1)),
    ("Failure AUROC", "policy", "failure_auroc", decimal),
    ("Failure AUROC, MSP", "msp", "failure_auroc", decimal),
    ("ECE, MSP", "msp", "ece", decimal),
)


def corruption_table(evaluation: Evaluation, model: str) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    """Headings and one row per corruption, all severities together."""
    first = evaluation.grid.corruptions[0]
    columns = [
        column
        for column in CORRUPTION_COLUMNS
        if evaluation.figure(model, column[1], "corruption", column[2], first) is not None
    ]
    rows = []
    for name in evaluation.grid.corruptions:
        cells = tuple(
            figure_cell(
                evaluation,
                evaluation.figure(model, method, "corruption", metric, name),
                form,
            )
            for _, method, metric, form in columns
        )
        rows.append(Row(name=name.replace("_", " "), note=_held_out(evaluation, name), cells=cells))
    return tuple(column[0] for column in columns), tuple(rows)


def _held_out(evaluation: Evaluation, name: str) -> str:
    return "held out" if name in (evaluation.held_out or ()) else ""


MODEL_COLUMNS = (
    ("Accuracy, clean", "clean", "accuracy", percent),
    ("Accuracy, corrupted", "all", "accuracy", percent),
    ("Accepted, corrupted", "all", "coverage", percent),
    ("Wrong among accepted, corrupted", "all", "risk", percent),
    ("Failure AUROC, corrupted", "all", "failure_auroc", decimal),
    ("AURC, corrupted", "all", "aurc", _fine),
    ("ECE, corrupted", "all", "ece", decimal),
    ("mCE", "all", "mce", decimal),
)


def model_rows(evaluation: Evaluation) -> tuple[Row, ...]:
    """One row per model: what its user gets."""
    rows = []
    for subject in evaluation.subjects:
        method = "msp" if subject.fitted is None else "policy"
        cells = tuple(
            figure_cell(evaluation, evaluation.figure(subject.name, method, scope, metric), form)
            for _, scope, metric, form in MODEL_COLUMNS
        )
        note = "classifier alone" if subject.fitted is None else "gate"
        rows.append(Row(name=subject.name, note=note, cells=cells))
    return tuple(rows)


COMPARISON_COLUMNS = (
    "Accuracy",
    "p-value (Holm)",
    "Failure AUROC",
    "AURC",
)


def comparison_rows(record: Mapping[str, Any]) -> tuple[Row, ...]:
    """One row per pair and scope: differences with intervals, and the corrected test."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for each in record["comparisons"]:
        key = each["first"], each["second"], each["scope"]
        found.setdefault(key, {})[each["metric"]] = each
    rows = []
    for (first, second, scope), metrics in found.items():
        accuracy = metrics["accuracy"]
        p_value = Cell(text=decimal(accuracy["adjusted_p_value"], 4), note=accuracy["test"])
        cells = (
            _difference(accuracy, _points),
            p_value,
            _difference(metrics["failure_auroc"], _signed),
            _difference(metrics["aurc"], _signed),
        )
        rows.append(Row(name=f"{first} − {second}", note=SCOPE_TITLES[scope], cells=cells))
    return tuple(rows)


def _points(value: float) -> str:
    return f"{100.0 * value:+.2f} points"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _difference(each: Mapping[str, Any], form: Form) -> Cell:
    if each["value"] is None:
        return Cell(text=None)
    note = "" if each["low"] is None else f"{form(each['low'])} … {form(each['high'])}"
    return Cell(text=form(each["value"]), note=note)


def heat_maps(evaluation: Evaluation) -> tuple[HeatMap, ...]:
    """Of the candidate: accuracy; for a gate also wrong among accepted, and accepted."""
    subject = evaluation.subjects[0]
    notes = {name: _held_out(evaluation, name) for name in evaluation.grid.corruptions}
    about = "Columns are severities; a darker cell is worse."
    if subject.fitted is None:
        shares = _shares(evaluation, subject.name, "msp", "accuracy")
        return (heat_map("Accuracy", about, shares, worst=0.0, best=1.0, notes=notes),)
    wrong = _shares(evaluation, subject.name, "policy", "risk")
    raw = _shares(evaluation, subject.name, "msp", "accuracy")
    accepted = _shares(evaluation, subject.name, "policy", "coverage")
    limit = 4.0 * evaluation.target_risk
    return (
        heat_map("Accuracy with no gate", about, raw, worst=0.0, best=1.0, notes=notes),
        heat_map(
            "Wrong among accepted",
            f"{about} The darkest is {percent(limit)} and above.",
            wrong,
            worst=limit,
            best=0.0,
            notes=notes,
        ),
        heat_map("Accepted", about, accepted, worst=0.0, best=1.0, notes=notes),
    )


def _shares(
    evaluation: Evaluation, model: str, method: str, metric: str
) -> dict[str, dict[int, float | None]]:
    shares: dict[str, dict[int, float | None]] = {}
    for row in evaluation.figures:
        if (row.scope, row.model, row.method, row.metric) == ("condition", model, method, metric):
            shares.setdefault(row.corruption, {})[row.severity] = row.value
    return shares
