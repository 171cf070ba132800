"""The ways to read answers."""

from __future__ import annotations

import numpy as np

from gatekeeper.evaluation import Answers, Evaluation, GateAnswers, main_view, views_of


def gate_answers() -> Answers:
    labels = np.array([0, 1])
    one = np.array([[0.2, 0.9]])
    gate = GateAnswers(
        raw_score=np.array([[-1.0, 3.0]]),
        raw_reliability=np.array([[0.3, 0.8]]),
        accepted=np.array([[False, True]]),
        restored=np.array([[True, False]]),
        final_labels=np.array([[0, 1]]),
        kept_reliability=np.array([[0.6, 0.8]]),
        reliability=np.array([[0.5, 0.75]]),
    )
    return Answers(labels=labels, raw_labels=np.array([[1, 1]]), msp=one, gate=gate)


def test_each_method_has_its_own_scores_numbers_and_answers() -> None:
    views = views_of(gate_answers())
    assert list(views) == ["msp", "raw", "policy"]
    assert views["msp"].scores.tolist() == views["msp"].stated.tolist() == [[0.2, 0.9]]
    assert views["raw"].scores.tolist() == [[-1.0, 3.0]]
    assert views["raw"].stated.tolist() == [[0.3, 0.8]]
    # Thresholds compare the attempts' own reliability; what is handed out is the final number.
    assert views["policy"].scores.tolist() == [[0.6, 0.8]]
    assert views["policy"].stated.tolist() == [[0.5, 0.75]]
    assert views["raw"].correct.tolist() == [[False, True]]
    assert views["policy"].correct.tolist() == [[True, True]]
    assert views["policy"].raw_correct.tolist() == [[False, True]]
    assert views["policy"].accepted.tolist() == [[False, True]]
    assert views["raw"].accepted is None


def test_the_main_view_is_what_a_user_gets(evaluation: Evaluation) -> None:
    gate, plain = evaluation.answers["gate"], evaluation.answers["plain"]
    assert np.array_equal(main_view(gate).correct, gate.final_correct)
    assert main_view(gate).accepted is not None
    assert np.array_equal(main_view(plain).scores, plain.msp)


def test_rows_are_taken_and_picked_from_every_array() -> None:
    view = views_of(gate_answers())["policy"]
    twice = view.take(np.array([0, 0]))
    assert twice.stated.tolist() == [[0.5, 0.75]] * 2
    assert twice.restored.tolist() == [[True, False]] * 2
    picked = twice.pick(np.array([1, 0]))
    assert picked.scores.shape == picked.accepted.shape == (1, 2)
