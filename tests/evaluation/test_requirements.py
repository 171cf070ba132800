"""Requirements: what can be asked for, and when it is met."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gatekeeper.errors import RecipeError
from gatekeeper.evaluation import (
    Evaluation,
    Requirements,
    judge_requirements,
    load_requirements,
    verdict_of,
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_has_limits_for_its_scope_and_tables_for_others(tmp_path: Path) -> None:
    found = load_requirements(
        write(tmp_path / "r.toml", 'scope = "declared"\nmax_risk = 0.05\n[clean]\nmin_accuracy=0.9')
    )
    assert list(found.each()) == [("declared", "max_risk", 0.05), ("clean", "min_accuracy", 0.9)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_riks = 0.05", "max_riks"),
        ("max_risk = 5", "less than or equal to 1"),
        ('scope = "declared"', "at least one limit"),
        ("[held_out]\nmax_clean_harm = 0.1", "max_clean_harm"),
        ("max_risk = ", "expected a TOML file"),
    ],
)
def test_a_file_that_cannot_be_followed_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_requirements(write(tmp_path / "r.toml", text))


def judged(evaluation: Evaluation, **limits):
    (only,) = judge_requirements(evaluation, Requirements(**limits))
    return only


def test_the_pessimistic_end_is_judged_unless_the_file_says_otherwise(
    evaluation: Evaluation,
) -> None:
    risk = evaluation.figure("gate", "policy", "all", "risk")
    between = (risk.value + risk.high) / 2
    strict, lenient = judged(evaluation, max_risk=between), None
    lenient = judged(evaluation, max_risk=between, judged="value")
    assert (strict.met, strict.judged, strict.value) == (False, risk.high, risk.value)
    assert (lenient.met, lenient.judged) == (True, risk.value)
    coverage = evaluation.figure("gate", "policy", "held_out", "coverage")
    assert judged(evaluation, held_out={"min_coverage": coverage.low}).met
    assert not judged(evaluation, held_out={"min_coverage": coverage.value}).met
    assert verdict_of([lenient]) == "PASS"
    assert verdict_of([lenient, strict]) == "FAIL"
    assert verdict_of([]) == "NOT JUDGED"


def test_a_ratio_without_harm_meets_any_requirement_if_something_was_helped(
    evaluation: Evaluation,
) -> None:
    assert evaluation.figure("gate", "policy", "declared", "harm").value == 0.0
    found = judged(evaluation, declared={"min_help_harm": 1000})
    assert (found.met, found.reason) == (True, "nothing was harmed")
    assert not judged(evaluation, clean={"min_help_harm": 2}).met  # nothing helped either


def test_what_was_not_evaluated_is_not_met(evaluation: Evaluation) -> None:
    figures = [row for row in evaluation.figures if row.scope != "held_out"]
    less = replace(evaluation, figures=figures, _index={})
    found = judged(less, held_out={"max_risk": 1.0})
    assert (found.met, found.value, found.reason) == (False, None, "this scope was not evaluated")


def test_what_only_a_gate_has_cannot_be_required_of_a_classifier(evaluation: Evaluation) -> None:
    alone = replace(evaluation, subjects=evaluation.subjects[1:])
    with pytest.raises(RecipeError, match="plain, which is a classifier without a gate"):
        judged(alone, min_coverage=0.5)
    assert judged(alone, min_accuracy=0.01).met
    with pytest.raises(RecipeError, match="no reference"):
        judged(replace(evaluation, reference=""), max_mce=1.0)
    assert judged(evaluation, max_mce=1.0).met
