"""Tables of an evaluation against its figures."""

from __future__ import annotations

from typing import Any

from gatekeeper.report import EvaluationContent
from gatekeeper.report.evaluation_tables import (
    comparison_rows,
    corruption_table,
    figure_cell,
    heat_maps,
    model_rows,
    scope_rows,
    scopes_shown,
)
from gatekeeper.report.numbers import decimal, percent


def plain(text: str | None) -> str:
    return (text or "").replace("\u00a0", " ")


def test_scopes_are_shown_in_their_order(evaluation_content: EvaluationContent) -> None:
    evaluation = evaluation_content.evaluation
    assert scopes_shown(evaluation) == ("clean", "declared", "seen", "held_out", "all")


def test_a_classifier_has_no_rows_of_a_gate(evaluation_content: EvaluationContent) -> None:
    evaluation = evaluation_content.evaluation
    gate, alone = ({row.name for row in scope_rows(evaluation, name)} for name in ("gate", "plain"))
    assert {"Accepted", "Wrong among accepted", "AURC, policy", "AUGRC, raw"} <= gate
    assert alone < gate
    assert not any("policy" in name or "raw" in name for name in alone)
    assert {"Accuracy with no gate", "ECE, MSP", "mCE, no gate"} <= alone


def test_cells_hold_value_interval_floor_oracle_and_random(
    evaluation_content: EvaluationContent,
) -> None:
    evaluation = evaluation_content.evaluation
    ece = evaluation.figure("gate", "policy", "all", "ece")
    cell = figure_cell(evaluation, ece, decimal)
    assert cell.text == f"{ece.value:.3f}"
    assert cell.note == f"{ece.low:.3f} – {ece.high:.3f}; noise floor {ece.floor:.3f}"
    aurc = evaluation.figure("gate", "msp", "all", "aurc")
    oracle, random = (
        evaluation.figure("gate", "msp", "all", f"aurc_{word}").value
        for word in ("oracle", "random")
    )
    note = figure_cell(evaluation, aurc, decimal).note
    assert note.endswith(f"oracle {oracle:.3f}; random {random:.3f}")
    assert figure_cell(evaluation, None, decimal).text is None


def test_corruptions_have_a_row_each(evaluation_content: EvaluationContent) -> None:
    evaluation = evaluation_content.evaluation
    columns, rows = corruption_table(evaluation, "gate")
    assert [row.name for row in rows] == ["impulse", "dark", "gaussian", "contrast"]
    assert [row.note for row in rows] == ["", "", "", "held out"]
    place = columns.index("Wrong among accepted")
    risk = evaluation.figure("gate", "policy", "corruption", "risk", "dark")
    assert rows[1].cells[place].text == percent(risk.value)
    fewer = corruption_table(evaluation, "plain")[0]
    assert fewer == ("Accuracy with no gate", "Failure AUROC, MSP", "ECE, MSP")


def test_help_and_harm_are_counts_with_their_ratio(evaluation_content: EvaluationContent) -> None:
    evaluation = evaluation_content.evaluation
    columns, rows = corruption_table(evaluation, "gate")
    answers = evaluation.answers["gate"]
    conditions = evaluation.grid.of(["impulse"])
    raw, final = answers.raw_correct[conditions], answers.final_correct[conditions]
    helped, harmed = int((~raw & final).sum()), int((raw & ~final).sum())
    cell = rows[0].cells[columns.index("Help : harm")]
    assert cell.text == f"{helped} : {harmed}"
    assert ("ratio" in cell.note) == (harmed > 0)


def test_heat_maps_show_every_condition(evaluation_content: EvaluationContent) -> None:
    evaluation = evaluation_content.evaluation
    maps = heat_maps(evaluation)
    assert [map_.title for map_ in maps] == [
        "Accuracy with no gate", "Wrong among accepted", "Accepted",
    ]  # fmt: skip
    accuracy = maps[0]
    assert accuracy.columns == ("1", "2", "3", "4", "5")
    shown = plain(accuracy.rows[3].cells[4].text)
    last = evaluation.answers["gate"].raw_correct[-1].mean()
    assert shown == plain(percent(float(last)))
    # Four times the target risk of 10 % is the darkest.
    assert "40.0 % and above" in plain(maps[1].about)


def test_models_stand_side_by_side(evaluation_content: EvaluationContent) -> None:
    gate, alone = model_rows(evaluation_content.evaluation)
    assert (gate.name, gate.note, alone.note) == ("gate", "gate", "classifier alone")
    assert alone.cells[2].text is None  # nothing is accepted or not
    assert alone.cells[-1].text == "1.000"  # its own reference


def test_differences_carry_sign_interval_and_corrected_test() -> None:
    def each(metric: str, **changes: Any) -> dict[str, Any]:
        found = {"first": "a", "second": "b", "scope": "all", "metric": metric, "value": -0.0123,
                 "low": -0.02, "high": 0.001, "test": None, "adjusted_p_value": None}  # fmt: skip
        return found | changes

    record = {
        "comparisons": [
            each("accuracy", test="sign flips over images", adjusted_p_value=0.04),
            each("failure_auroc", value=None),
            each("aurc"),
        ]
    }
    (row,) = comparison_rows(record)
    assert (row.name, row.note) == ("a − b", "all corruptions")
    accuracy, p_value, auroc, aurc = row.cells
    assert (accuracy.text, accuracy.note) == ("-1.23 points", "-2.00 points … +0.10 points")
    assert (p_value.text, p_value.note) == ("0.0400", "sign flips over images")
    assert auroc.text is None
    assert aurc.text == "-0.0123"
