from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scipy import stats

from gatekeeper.report.numbers import percent_range
from gatekeeper.report.tables import (
    FAMILY_COLUMNS,
    accuracy_of_accepted,
    fact_rows,
    family_rows,
    help_harm,
    risk_of_accepted,
    stream_rows,
)

Maker = Callable[..., dict[str, Any]]


def plain(text: str | None) -> str | None:
    return text and text.replace("\u00a0", " ")


def test_intervals_are_those_of_scipy(make_block: Maker) -> None:
    block = make_block()
    exact = stats.binomtest(301, 7_120).proportion_ci(0.95, method="exact")
    risk, accuracy = risk_of_accepted(block), accuracy_of_accepted(block)
    assert plain(risk.text) == "4.2 %"
    assert risk.note == percent_range(exact.low, exact.high)
    assert plain(accuracy.text) == "95.8 %"
    assert accuracy.note == percent_range(1 - exact.high, 1 - exact.low)


def test_family_row(make_block: Maker) -> None:
    rows = family_rows({"gaussian_blur": make_block()}, ["gaussian_blur"])
    assert (rows[0].name, rows[0].note) == ("gaussian blur", "held out")
    assert dict(zip(FAMILY_COLUMNS, (plain(cell.text) for cell in rows[0].cells), strict=True)) == {
        "Images": "10,000",
        "Accuracy with no gate": "74.1 %",
        "Accepted": "71.2 %",
        "Restored": "24.4 %",
        "Abstained": "28.8 %",
        "Accuracy of accepted": "95.8 %",
        "Help : harm": "1,523 : 41",
        "Failure AUROC": "0.944",
    }
    assert rows[0].cells[-1].note == "MSP 0.806"


def test_undefined_metrics_stay_undefined(make_block: Maker) -> None:
    block = make_block(
        n_accepted=0, n_wrong_accepted=0, coverage=None, selective_risk=None, help=None
    )
    block |= {"failure_auroc": None, "ece": {"msp": None, "reliability": None}}
    assert risk_of_accepted(block).text is None
    assert risk_of_accepted(block).note == ""
    assert help_harm(block).text is None
    cells = family_rows({"dark": block}, [])[0].cells
    assert [cell.text is None for cell in cells] == [False, False, True, False, *[True] * 4]
    undefined = {row.name for row in stream_rows({"open": block}) if row.cells[0].text is None}
    assert undefined == {
        "Accepted",
        "Wrong among accepted",
        "Help : harm",
        "Failure AUROC, gatekeeper",
        "Failure AUROC, MSP",
        "ECE, final reliability",
        "ECE, MSP",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Coverage at target risk, policy", "73.1 %"),
        ("Coverage at target risk, raw", "60.4 %"),
        ("Coverage at target risk, MSP", "34.1 %"),
        ("Ideal coverage", "86.1 %"),
        ("Failure AUROC, MSP", "0.806"),
        ("AURC, gatekeeper", "0.0341"),
        ("ECE, final reliability", "0.011"),
        ("ECE, MSP", "0.120"),
    ],
)
def test_stream_rows(make_block: Maker, name: str, expected: str) -> None:
    rows = {row.name: row for row in stream_rows({"a": make_block(n=1), "b": make_block()})}
    assert [cell.text for cell in rows["Images"].cells] == ["1", "10,000"]
    assert plain(rows[name].cells[1].text) == expected


def test_facts_are_flattened_and_keep_their_order() -> None:
    facts = {
        "n_wrong": 1234,
        "upper_bound": 0.049,
        "splits": {"fit": {"n": 9_000, "digest": "ab"}},
        "x": None,
    }
    rows = fact_rows(facts, shares=("upper_bound",))
    assert [(row.name, plain(row.cells[0].text)) for row in rows] == [
        ("n wrong", "1,234"),
        ("upper bound", "4.9 %"),
        ("splits · fit · n", "9,000"),
        ("splits · fit · digest", "ab"),
        ("x", None),
    ]
