"""One evaluation of the small gate beside its classifier, for all tests of the room."""

from __future__ import annotations

import pytest

from gatekeeper.evaluation import Evaluation, Grid, Settings, Subject, evaluate, images_to_judge
from tests import small_gate

GRID = Grid(("impulse", "dark", "gaussian", "contrast"))


@pytest.fixture(scope="session")
def gate_subject() -> Subject:
    fitted = small_gate.small().result.fitted
    return Subject(
        name="gate", classifier=fitted.classifier, source="small", fitted=fitted, identity="abc"
    )


@pytest.fixture(scope="session")
def plain_subject() -> Subject:
    return Subject(name="plain", classifier=small_gate.classifier(), source="plain.toml")


@pytest.fixture(scope="session")
def evaluation(gate_subject: Subject, plain_subject: Subject) -> Evaluation:
    data = small_gate.digits()
    fitted = gate_subject.fitted
    judged = images_to_judge(data, [(fitted.seed, fitted.certificate)], limit=200)
    settings = Settings(n_draws=40, reference="plain")
    return evaluate([gate_subject, plain_subject], data, judged, GRID, settings=settings)
