"""What a person reads after ``gatekeeper evaluate``: a table per scope and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_METRICS = (
    ("accuracy", "accuracy", "share"),
    ("coverage", "accepted", "share"),
    ("risk", "wrong among accepted", "share"),
    ("failure_auroc", "failure AUROC", "number"),
    ("ece", "ECE", "number"),
    ("mce", "mCE", "number"),
)
_SCOPES = ("clean", "declared", "seen", "held_out", "all")


def print_evaluation(record: Mapping[str, Any]) -> None:
    """One row per model and scope, then requirements and verdict, on standard output."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    data = record["data"]
    table = Table(title=f"{data['name']}: {data['n_images']:,} images", title_style="")
    table.add_column("model")
    table.add_column("traffic")
    for _, heading, _ in _METRICS:
        table.add_column(heading, justify="right")
    for model in record["models"]:
        method = "policy" if model["kind"] == "gate" else "msp"
        figures = {
            (row["scope"], row["metric"]): row
            for row in record["figures"]
            if row["model"] == model["name"] and row["method"] == method and not row["corruption"]
        }
        for scope in _SCOPES:
            if (scope, "accuracy") in figures:
                cells = [_cell(figures.get((scope, name)), form) for name, _, form in _METRICS]
                table.add_row(model["name"], scope.replace("_", " "), *cells)
        table.add_section()
    console.print(table)
    for line in evaluation_lines(record):
        console.print(line, highlight=False, soft_wrap=True)


def _cell(row: Mapping[str, Any] | None, form: str) -> str:
    if row is None or row["value"] is None:
        return "–"
    return f"{100.0 * row['value']:.1f} %" if form == "share" else f"{row['value']:.3f}"


def evaluation_lines(record: Mapping[str, Any]) -> list[str]:
    """Certificates against what was seen, requirements, and the verdict; a sentence each."""
    lines = [line for model in record["models"] if (line := _certificate(model)) is not None]
    for each in record["requirements"]:
        judged = each["reason"] if each["judged"] is None else f"{each['judged']:.4g}"
        mark = "met" if each["met"] else "NOT MET"
        lines.append(
            f"{each['requirement']} = {each['limit']:g} on {each['scope'].replace('_', ' ')}: "
            f"{judged}: {mark}"
        )
    about = f" ({record['candidate']})" if record["requirements"] else ": nothing was required"
    return [*lines, f"{record['verdict']}{about}"]


def _certificate(model: Mapping[str, Any]) -> str | None:
    check = model["certificate"]
    if check is None:
        return None
    if check.get("risk") is None:
        return f"{model['name']}: certificate {check['outcome']}"
    return (
        f"{model['name']}: certificate {check['outcome']}: {check['n_wrong']} of "
        f"{check['n_accepted']:,} accepted answers of the declared traffic are wrong "
        f"({100 * check['risk']:.1f} %, 95 % interval {100 * check['low']:.1f} % to "
        f"{100 * check['high']:.1f} %; at most {100 * check['target_risk']:g} % was promised)"
    )
