"""What a person reads: a table per run and one verdict line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_COLUMNS = (
    "traffic",
    "no gate",
    "accepted",
    "restored",
    "abstained",
    "accepted right",
    "help : harm",
)


def print_summary(summary: Mapping[str, Any], held_out: tuple[str, ...]) -> None:
    """The figures of every kind of traffic, then the verdict, on standard output."""
    # A fixed least width: a pipe has none of its own, and columns must not be cut there.
    console = Console()
    if not console.is_terminal:
        console = Console(width=100)
    table = Table(title=f"{summary['dataset']}: accuracy and what the gate did", title_style="")
    table.add_column(_COLUMNS[0])
    for column in _COLUMNS[1:]:
        table.add_column(column, justify="right")
    table.add_row("clean", *_cells(summary["clean"]))
    for name, block in summary["families"].items():
        if name not in held_out:
            table.add_row(f"{name}", *_cells(block))
    table.add_section()
    for name in held_out:
        table.add_row(f"{name} (held out)", *_cells(summary["families"][name]))
    table.add_section()
    table.add_row("declared traffic", *_cells(summary["declared"]), style="bold")
    table.add_row("open traffic", *_cells(summary["open"]))
    console.print(table)
    for line in verdict_lines(summary):
        console.print(line, highlight=False, soft_wrap=True)


def _cells(block: Mapping[str, Any]) -> list[str]:
    risk = block["selective_risk"]
    return [
        _percent(block["accuracy_no_gate"]),
        _percent(block["coverage"]),
        _percent(block["restored_share"]),
        _percent(1.0 - block["coverage"]),
        "–" if risk is None else _percent(1.0 - risk),
        f"{block['help']} : {block['harm']}",
    ]


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _exact(share: float) -> str:
    # As it was asked for: a target of 0.5 % must not be shown as "0 %".
    return f"{100.0 * share:.6g} %"


def verdict_lines(summary: Mapping[str, Any]) -> list[str]:
    """The verdict and what it does not cover, a sentence each."""
    certificate = summary["certificate"]
    target, level = summary["target_risk"], summary["confidence_level"]
    if summary["certified"]:
        verdict = (
            f"CERTIFIED: accepted answers of the declared traffic are wrong at most "
            f"{_exact(target)} of the time, at {_exact(level)} confidence; "
            f"{_percent(certificate['certified_coverage'])} of {certificate['n_certify']} "
            f"certify images were accepted."
        )
    else:
        verdict = f"CANNOT CERTIFY: {certificate['reason'].removeprefix('Cannot certify: ')}"
    lines = [verdict]
    for stream in ("declared", "open"):
        block, flag = summary[stream], summary["flags"][stream]
        risk = block["selective_risk"]
        realised = "nothing was accepted" if risk is None else f"{_percent(risk)} of accepted wrong"
        about = "what the certificate speaks about" if stream == "declared" else "outside it"
        flagged = "FLAGGED: " if flag["flagged"] else ""
        lines.append(
            f"{stream.capitalize()} traffic ({about}): {realised}; {flagged}{flag['reason']}."
        )
    return lines
