"""The tidy table: complete, right and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.evaluation import (
    Evaluation,
    Settings,
    Subject,
    evaluate,
    images_to_judge,
    views_of,
)
from gatekeeper.metrics import mean_corruption_error
from tests import small_gate
from tests.evaluation.conftest import GRID


def test_every_scope_has_every_metric_once(evaluation: Evaluation) -> None:
    keys = [
        (r.model, r.method, r.scope, r.corruption, r.severity, r.metric) for r in evaluation.figures
    ]
    assert len(set(keys)) == len(keys)
    conditions = {(r.corruption, r.severity) for r in evaluation.figures if r.scope == "condition"}
    assert conditions == set(GRID.conditions[1:])
    assert {r.scope for r in evaluation.figures} == {
        "clean", "declared", "seen", "held_out", "all", "corruption", "condition",
    }  # fmt: skip
    assert {r.method for r in evaluation.figures if r.model == "plain"} == {"msp"}
    assert {r.method for r in evaluation.figures if r.model == "gate"} == {"msp", "raw", "policy"}


def test_figures_are_those_of_the_answers(evaluation: Evaluation) -> None:
    answers = evaluation.answers["gate"]
    gate, right = answers.gate, answers.final_correct
    rows = GRID.of(["contrast"])
    assert evaluation.held_out == ("contrast",)
    risk = evaluation.figure("gate", "policy", "held_out", "risk")
    assert risk.value == (~right[rows] & gate.accepted[rows]).sum() / gate.accepted[rows].sum()
    assert (risk.n_rows, risk.n_images) == (1000, 200)
    same = evaluation.figure("gate", "policy", "corruption", "risk", "contrast")
    assert same.value == risk.value
    images = np.arange(200)
    coverage = evaluation.figure("gate", "policy", "declared", "coverage")
    assert coverage.value == gate.accepted[evaluation.stream, images].mean()


def test_the_corruption_error_is_that_of_the_metric(evaluation: Evaluation) -> None:
    def errors(correct):
        return {name: 1 - correct[GRID.of([name])].mean(axis=1) for name in GRID.corruptions}

    ours, theirs = evaluation.answers["gate"].final_correct, evaluation.answers["plain"].raw_correct
    expected = mean_corruption_error(errors(ours), errors(theirs))
    assert evaluation.figure("gate", "policy", "all", "mce").value == pytest.approx(expected)
    assert evaluation.figure("plain", "msp", "all", "mce").value == pytest.approx(1.0)
    assert evaluation.figure("gate", "raw", "all", "mce") is None
    assert evaluation.reference == "plain"


def test_the_target_risk_is_that_of_the_certificate(evaluation: Evaluation) -> None:
    assert evaluation.target_risk == 0.1
    view = views_of(evaluation.answers["plain"])["msp"].take(np.array([0]))
    order = np.argsort(-view.scores[0], kind="stable")
    wrong = np.cumsum(~view.correct[0][order])
    kept = np.flatnonzero(wrong <= 0.1 * np.arange(1, 201))
    found = evaluation.figure("plain", "msp", "clean", "coverage_at_risk")
    assert found.value == (kept[-1] + 1) / 200


def test_the_same_again_gives_the_same_and_another_seed_another(
    evaluation: Evaluation, plain_subject: Subject
) -> None:
    data = evaluation.data
    judged = images_to_judge(data, limit=30)
    runs = [
        evaluate([plain_subject], data, judged, GRID, settings=Settings(n_draws=20, seed=seed))
        for seed in (0, 0, 1)
    ]
    assert runs[0].figures == runs[1].figures
    assert runs[0].figures != runs[2].figures
    assert runs[0].held_out is None
    assert runs[0].comparisons == []


def test_models_need_names_of_their_own_and_a_reference_among_them(plain_subject: Subject) -> None:
    data = small_gate.digits()
    judged = images_to_judge(data, limit=5)
    with pytest.raises(InputError, match="plain, plain"):
        evaluate([plain_subject, plain_subject], data, judged, GRID)
    with pytest.raises(InputError, match="at least one model"):
        evaluate([], data, judged, GRID)
    settings = Settings(n_draws=20, reference="alexnet")
    with pytest.raises(InputError, match="among plain"):
        evaluate([plain_subject], data, judged, GRID, settings=settings)


@pytest.mark.parametrize("changes", [{"n_draws": 5}, {"target_risk": 0.0}, {"target_risk": 1.0}])
def test_settings_that_give_no_interval_are_refused(changes) -> None:
    with pytest.raises(InputError):
        Settings(**changes)
