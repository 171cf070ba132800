from __future__ import annotations

import pytest

from gatekeeper.cli.tables import print_summary, verdict_lines


def block(**changes):
    return {
        "accuracy_no_gate": 0.8,
        "coverage": 0.625,
        "selective_risk": 0.04,
        "restored_share": 0.25,
        "help": 31,
        "harm": 2,
        **changes,
    }


@pytest.fixture
def summary():
    return {
        "dataset": "digits",
        "certified": True,
        "target_risk": 0.05,
        "confidence_level": 0.95,
        "certificate": {"certified_coverage": 0.7, "n_certify": 1000, "reason": "passed"},
        "clean": block(coverage=0.9),
        "declared": block(),
        "open": block(coverage=0.0, selective_risk=None),
        "families": {"gaussian": block(help=7), "shift": block(harm=9)},
        "flags": {
            "declared": {"flagged": False, "reason": "0 of 3 windows differ"},
            "open": {"flagged": True, "reason": "3 of 3 windows differ"},
        },
    }


def rows(printed):
    lines = [line.strip("│ ").split("│") for line in printed.splitlines() if line.startswith("│")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_table(summary, capsys):
    print_summary(summary, ("shift",))
    found = rows(capsys.readouterr().out)
    assert list(found) == ["clean", "gaussian", "shift (held out)", "declared traffic",
                           "open traffic"]  # fmt: skip
    assert found["gaussian"] == ["80.0 %", "62.5 %", "25.0 %", "37.5 %", "96.0 %", "7 : 2"]
    assert found["open traffic"] == ["80.0 %", "0.0 %", "25.0 %", "100.0 %", "–", "31 : 2"]


def test_verdict_of_a_certified_gate(summary):
    verdict, declared, open_ = verdict_lines(summary)
    assert verdict == (
        "CERTIFIED: accepted answers of the declared traffic are wrong at most 5 % of the time, "
        "at 95 % confidence; 70.0 % of 1000 certify images were accepted."
    )
    assert declared.endswith("4.0 % of accepted wrong; 0 of 3 windows differ.")
    assert open_.endswith("nothing was accepted; FLAGGED: 3 of 3 windows differ.")


def test_a_strict_target_is_shown_as_it_is(summary):
    summary |= {"target_risk": 0.005, "confidence_level": 0.999}
    assert "at most 0.5 % of the time, at 99.9 % confidence" in verdict_lines(summary)[0]


def test_verdict_of_one_that_cannot_be_certified(summary):
    summary["certified"] = False
    summary["certificate"]["reason"] = "Cannot certify: too few images"
    assert verdict_lines(summary)[0] == "CANNOT CERTIFY: too few images"
