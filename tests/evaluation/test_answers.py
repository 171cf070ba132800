"""Answers are those of the classifier and of the gate, image by image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.decision import Action
from gatekeeper.errors import InputError
from gatekeeper.evaluation import Evaluation, Grid, Subject, gather
from gatekeeper.evidence import CELL_ROWS
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.testing import FakeClassifier
from tests import small_gate
from tests.evaluation.conftest import GRID


def degraded(evaluation: Evaluation, condition: int) -> torch.Tensor:
    positions = evaluation.judged.positions
    plan = GRID.plan(evaluation.data, positions, condition, seed=0)
    images = evaluation.data.batch(positions)
    name, severity = GRID.conditions[condition]
    return CORRUPTIONS[name](images, severity=severity, seeds=plan.seeds) if name else images


@pytest.mark.parametrize("condition", [0, 4, 10, 18])
def test_the_gates_answers_are_its_decisions(evaluation: Evaluation, condition: int) -> None:
    gatekeeper = Gatekeeper(small_gate.small().result.fitted, "abc")
    decisions = gatekeeper.decide(degraded(evaluation, condition))
    answers = evaluation.answers["gate"]
    gate = answers.gate
    accepted = [decision.action is Action.ACCEPT for decision in decisions]
    assert gate.accepted[condition].tolist() == accepted
    for row, decision in enumerate(decisions):
        assert decision.attempts[0].label == answers.raw_labels[condition, row]
        assert decision.reliability == pytest.approx(gate.reliability[condition, row], abs=1e-5)
        assert gate.restored[condition, row] == (len(decision.attempts) == 2)
        if decision.label is not None:
            assert decision.label == gate.final_labels[condition, row]


def test_a_classifier_alone_answers_as_it_looks(evaluation: Evaluation) -> None:
    answers = evaluation.answers["plain"]
    assert answers.gate is None
    logits = torch.from_numpy(small_gate.classifier().look(degraded(evaluation, 13)).logits)
    assert answers.raw_labels[13].tolist() == logits.argmax(1).tolist()
    np.testing.assert_allclose(answers.msp[13], logits.double().softmax(1).amax(1), rtol=1e-5)
    assert np.array_equal(answers.raw_labels, evaluation.answers["gate"].raw_labels)
    assert np.array_equal(answers.final_correct, answers.raw_correct)


class InterruptedRunError(Exception):
    pass


def test_a_killed_run_loses_one_cell_at_most(tmp_path: Path) -> None:
    data, positions = small_gate.digits(), np.arange(50)
    grid = Grid(("dark", "contrast"), (1, 3))
    looks = FakeClassifier(lambda mean: [mean] * 10, class_names=data.class_names)
    subject = Subject(name="fake", classifier=looks, source="")
    whole = gather(subject, data, positions, grid, seed=0)
    n_looked = looks.n_looked

    class Dies:
        def __init__(self) -> None:
            self.n_rows = 0

        def start(self, stage: str, total: int) -> None:
            pass

        def advance(self, n: int) -> None:
            self.n_rows += n
            if self.n_rows > 3 * 50:
                raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        gather(subject, data, positions, grid, seed=0, cache=tmp_path, progress=Dies())
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    before = looks.n_looked
    again = gather(subject, data, positions, grid, seed=0, cache=tmp_path)
    # Two of five conditions are left, and one look tells the kind of logits.
    assert looks.n_looked - before == 2 * 50 + 1 == n_looked - 3 * 50
    assert np.array_equal(again.msp, whole.msp)
    assert len(positions) <= CELL_ROWS


def test_answers_do_not_depend_on_which_other_images_there_are() -> None:
    data, grid = small_gate.digits(), Grid(("gaussian",), (3,))
    subject = Subject(name="tiny", classifier=small_gate.classifier(), source="")
    many = gather(subject, data, np.arange(40), grid, seed=0)
    few = gather(subject, data, np.array([31, 3]), grid, seed=0)
    np.testing.assert_allclose(few.msp, many.msp[:, [31, 3]], rtol=1e-5)
    other = gather(subject, data, np.array([31, 3]), grid, seed=1)
    assert np.array_equal(other.msp[0], few.msp[0])  # clean
    assert not np.array_equal(other.msp[1], few.msp[1])


def test_data_that_do_not_fit_are_refused(gate_subject: Subject) -> None:
    data, positions = small_gate.digits(), np.arange(3)
    with pytest.raises(InputError, match=r"fitted, got \(14, 14\)"):
        gather(gate_subject, data.resized((14, 14)), positions, GRID, seed=0)
    two = FakeClassifier(lambda mean: [mean, 0], class_names=["a", "b"])
    with pytest.raises(InputError, match="2 classes of two, got digits with 10"):
        gather(Subject(name="two", classifier=two, source=""), data, positions, GRID, seed=0)
