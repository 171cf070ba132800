"""Rows of the report's tables: every number already as people read it, or None: undefined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatekeeper.metrics import exact_proportion_interval
from gatekeeper.report.numbers import any_value, decimal, percent, percent_range, whole

Block = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One table cell.

    Attributes:
        text: The number as text; None where it is undefined.
        note: A second, smaller line, such as an interval.
    """

    text: str | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One table row.

    Attributes:
        name: Heading of the row.
        note: A second, smaller line of the heading.
        cells: In the order of the columns.
    """

    name: str
    note: str = ""
    cells: tuple[Cell, ...]


FAMILY_COLUMNS = (
    "Images",
    "Accuracy with no gate",
    "Accepted",
    "Restored",
    "Abstained",
    "Accuracy of accepted",
    "Help : harm",
    "Failure AUROC",
)


def family_rows(families: Mapping[str, Block], held_out: Sequence[str]) -> tuple[Row, ...]:
    """One row per corruption family, cells as in ``FAMILY_COLUMNS``."""
    return tuple(
        Row(
            name=name.replace("_", " "),
            note="held out" if name in held_out else "",
            cells=_family_cells(block),
        )
        for name, block in families.items()
    )


def _family_cells(block: Block) -> tuple[Cell, ...]:
    coverage = block["coverage"]
    auroc = block["failure_auroc"] or {"gatekeeper": None, "msp": None}
    msp = _maybe(auroc["msp"], decimal)
    return (
        _cell(block["n"], whole),
        _cell(block["accuracy_no_gate"], percent),
        _cell(coverage, percent),
        _cell(block["restored_share"], percent),
        _cell(None if coverage is None else 1.0 - coverage, percent),
        accuracy_of_accepted(block),
        help_harm(block),
        Cell(text=_maybe(auroc["gatekeeper"], decimal), note=f"MSP {msp}" if msp else ""),
    )


# (heading, second line, key, part of the key, formatter)
_METRICS: tuple[tuple[str, str, str, str | None, Callable[[Any], str]], ...] = (
    ("Coverage at target risk, policy", "with hindsight", "coverage_at_risk", "policy", percent),
    (
        "Coverage at target risk, raw",
        "no restoration, with hindsight",
        "coverage_at_risk",
        "raw",
        percent,
    ),
    ("Coverage at target risk, MSP", "with hindsight", "coverage_at_risk", "msp", percent),
    ("Ideal coverage", "a perfect ranking", "ideal_coverage", None, percent),
    ("Failure AUROC, gatekeeper", "higher is better", "failure_auroc", "gatekeeper", decimal),
    ("Failure AUROC, MSP", "", "failure_auroc", "msp", decimal),
    ("AURC, gatekeeper", "lower is better", "aurc", "gatekeeper", lambda v: decimal(v, 4)),
    ("AURC, MSP", "", "aurc", "msp", lambda v: decimal(v, 4)),
    ("ECE, final reliability", "lower is better", "ece", "reliability", decimal),
    ("ECE, MSP", "of the raw answer", "ece", "msp", decimal),
)


def stream_rows(streams: Mapping[str, Block]) -> tuple[Row, ...]:
    """One row per metric, one cell per stream."""
    blocks = tuple(streams.values())
    counts = (
        _row("Images", "", [_cell(block["n"], whole) for block in blocks]),
        _row(
            "Accuracy with no gate",
            "",
            [_cell(block["accuracy_no_gate"], percent) for block in blocks],
        ),
        _row("Accepted", "coverage", [_cell(block["coverage"], percent) for block in blocks]),
        _row("Wrong among accepted", "selective risk", [risk_of_accepted(b) for b in blocks]),
        _row("Restored", "", [_cell(block["restored_share"], percent) for block in blocks]),
        _row("Help : harm", "before abstention", [help_harm(block) for block in blocks]),
    )
    metrics = tuple(
        _row(name, note, [_cell(_part(block[key], part), form) for block in blocks])
        for name, note, key, part, form in _METRICS
    )
    return counts + metrics


def risk_of_accepted(block: Block) -> Cell:
    """Selective risk with its exact 95 % interval."""
    interval = _wrong_interval(block)
    note = "" if interval is None else percent_range(*interval)
    return Cell(text=_maybe(block["selective_risk"], percent), note=note)


def accuracy_of_accepted(block: Block) -> Cell:
    """What is right among the accepted answers, with its exact 95 % interval."""
    interval, risk = _wrong_interval(block), block["selective_risk"]
    note = "" if interval is None else percent_range(1.0 - interval[1], 1.0 - interval[0])
    return Cell(text=None if risk is None else percent(1.0 - risk), note=note)


def help_harm(block: Block) -> Cell:
    """Wrong → right : right → wrong, as counts."""
    if block["help"] is None or block["harm"] is None:
        return Cell(text=None)
    return Cell(text=f"{whole(block['help'])} : {whole(block['harm'])}")


def fact_rows(facts: Mapping[str, Any], *, shares: Sequence[str] = ()) -> tuple[Row, ...]:
    """Nested data as one list of named values; keys named in ``shares`` are percentages."""
    rows: list[Row] = []
    for key, value in facts.items():
        name = str(key).replace("_", " ")
        if isinstance(value, Mapping):
            rows += [
                Row(name=f"{name} · {inner.name}", cells=inner.cells)
                for inner in fact_rows(value, shares=shares)
            ]
        else:
            rows.append(Row(name=name, cells=(_cell(value, _formatter(str(key), shares)),)))
    return tuple(rows)


def _formatter(key: str, shares: Sequence[str]) -> Callable[[Any], str]:
    if key in shares:
        return percent
    return whole if key == "n" or key.startswith("n_") else any_value


def _wrong_interval(block: Block) -> tuple[float, float] | None:
    if not block["n_accepted"] or block["n_wrong_accepted"] is None:
        return None
    return exact_proportion_interval(block["n_wrong_accepted"], block["n_accepted"])


def _part(value: Any, part: str | None) -> Any:  # noqa: ANN401  (a number, a mapping or None)
    return value if part is None or value is None else value[part]


def _maybe(value: Any, form: Callable[[Any], str]) -> str | None:  # noqa: ANN401  (a JSON value)
    return None if value is None else form(value)


def _cell(value: Any, form: Callable[[Any], str]) -> Cell:  # noqa: ANN401  (a JSON value)
    return Cell(text=_maybe(value, form))


def _row(name: str, note: str, cells: Sequence[Cell]) -> Row:
    return Row(name=name, note=note, cells=tuple(cells))
