"""Images of an evaluation that are worth looking at."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.report import EvaluationContent, gallery_of
from gatekeeper.report.evaluation_gallery import _top


def test_the_gallery_shows_accepted_errors_and_rescues(
    evaluation_content: EvaluationContent,
) -> None:
    evaluation = evaluation_content.evaluation
    shown = gallery_of(evaluation, per_kind=3)
    errors = [item for item in shown if item.verdict == "Accepted, and wrong."]
    rescues = [item for item in shown if "into a right one" in item.verdict]
    assert len(errors) == len(rescues) == 3
    for item in errors:
        assert item.decision["action"] == "accept"
        assert item.decision["class_name"] != item.truth
    for item in rescues:
        assert item.restored is not None
        assert item.decision["class_name"] == item.truth
        assert item.decision["attempts"][0]["class_name"] != item.truth
    gate = evaluation.answers["gate"]
    wrong = gate.gate.accepted & ~gate.final_correct
    assert errors[0].decision["reliability"] == pytest.approx(
        gate.gate.reliability[wrong].max(), abs=1e-4
    )


def test_the_top_has_each_image_and_condition_once() -> None:
    reliability = np.array([[0.9, 0.8, 0.7], [0.95, 0.6, 0.5], [0.1, 0.2, 0.99]])
    among = np.ones((3, 3), dtype=bool)
    assert _top(reliability, among, 5).tolist() == [[2, 2], [1, 0], [0, 1]]
    assert _top(reliability, among, 1).tolist() == [[2, 2]]
    among[2] = False
    assert _top(reliability, among, 5).tolist() == [[1, 0], [0, 1]]
    assert _top(reliability, np.zeros((3, 3), dtype=bool), 5).shape == (0, 2)
