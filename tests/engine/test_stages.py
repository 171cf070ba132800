"""Both stages together decide exactly as the gatekeeper itself, whatever the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gatekeeper.engine import (
    DEFAULT_GEARS,
    Doubted,
    Engine,
    EngineAnswer,
    FailurePolicy,
    GatekeeperStages,
    Judged,
    NotFiniteError,
    WholeStages,
    stages_of,
)
from gatekeeper.engine.stages import certified_alone_at
from gatekeeper.engine.work import decide_batch
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.protocols import Look
from tests.engine.conftest import wait_until
from tests.small_gate import small, stream_images


@pytest.fixture(scope="module")
def gatekeeper() -> Gatekeeper:
    return Gatekeeper(small().result.fitted, "c" * 64)


def close(one: Any, other: Any) -> bool:
    """Equal but for the last bits of the reliabilities."""
    return bool(
        (one.action, one.reason, one.label, one.symptoms, one.policy, one.certified)
        == (other.action, other.reason, other.label, other.symptoms, other.policy, other.certified)
        and [(a.restorer, a.label, a.action) for a in one.attempts]
        == [(a.restorer, a.label, a.action) for a in other.attempts]
        and np.allclose(
            [one.reliability, *(a.reliability for a in one.attempts)],
            [other.reliability, *(a.reliability for a in other.attempts)],
            atol=1e-5,
        )
    )


def test_the_stages_are_the_gatekeeper(gatekeeper: Gatekeeper) -> None:
    images = stream_images(24)
    stages = GatekeeperStages(gatekeeper)
    expected = gatekeeper.decide(images)
    first = list(stages.first(images))
    doubted = [each for each in first if isinstance(each, Doubted)]
    assert 0 < len(doubted) < 24
    assert len({each.draw for each in doubted}) == len(doubted)
    assert all(0 <= each.draw < 1 for each in doubted)
    second = iter(stages.second(doubted))
    for result, decision in zip(first, expected, strict=True):
        judged = next(second) if isinstance(result, Doubted) else result
        assert isinstance(judged, Judged)
        assert close(judged.decision, decision)
        assert judged.probabilities is not None
        assert judged.probabilities.sum() == pytest.approx(1.0)
        if decision.label is not None:
            assert judged.probabilities.argmax() == decision.label


def test_answers_do_not_depend_on_the_batch(gatekeeper: Gatekeeper) -> None:
    images = stream_images(12)
    alone = [gatekeeper.decide(image[None])[0] for image in images]
    engine = Engine(lambda: GatekeeperStages(gatekeeper))
    engine.start()
    try:
        wait_until(lambda: engine.is_ready)
        futures = engine.submit(list(images))
        for future, decision in zip(futures, alone, strict=True):
            assert close(future.result(60).outcome, decision)
    finally:
        engine.close()


def test_labels_are_the_classifiers(gatekeeper: Gatekeeper) -> None:
    images = stream_images(4)
    logits = gatekeeper.fitted.classifier.look(images).logits
    assert list(GatekeeperStages(gatekeeper).labels(images)) == logits.argmax(axis=1).tolist()


def test_rows_that_are_not_finite_fail_alone(
    gatekeeper: Gatekeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = stream_images(6)
    stages = GatekeeperStages(gatekeeper)
    expected = list(stages.first(images))
    look = gatekeeper.fitted.classifier.look

    def broken(batch: torch.Tensor) -> Look:
        answer = look(batch)
        answer.logits[2] = np.nan
        return answer

    monkeypatch.setattr(gatekeeper.fitted.classifier, "look", broken, raising=False)
    results = list(stages.first(images))
    assert isinstance(results[2], NotFiniteError)
    assert [type(r) for i, r in enumerate(results) if i != 2] == [
        type(r) for i, r in enumerate(expected) if i != 2
    ]
    monkeypatch.setattr(
        gatekeeper.fitted.classifier,
        "look",
        lambda batch: Look(
            logits=np.full((len(batch), 10), np.nan), kind="logits", features=look(batch).features
        ),
        raising=False,
    )
    assert [type(r) for r in stages.first(images)] == [NotFiniteError] * 6


def test_what_decides_in_one_go_has_one_stage(gatekeeper: Gatekeeper) -> None:
    class Plain:
        decide = staticmethod(gatekeeper.decide)

    stages = stages_of(Plain())
    assert isinstance(stages, WholeStages)
    assert isinstance(stages_of(gatekeeper), GatekeeperStages)
    images = stream_images(4)
    expected = gatekeeper.decide(images)
    first = [each.decision for each in stages.first(images) if isinstance(each, Judged)]
    assert first == expected
    assert list(stages.labels(images)) == [each.attempts[0].label for each in expected]


def test_the_gear_that_restores_nothing_accepts_what_its_certified_policy_accepts(
    gatekeeper: Gatekeeper,
) -> None:
    alone_at = certified_alone_at(gatekeeper.certificate)
    assert alone_at is not None
    images = stream_images(24)
    answers, _ = decide_batch(
        GatekeeperStages(gatekeeper),
        list(images),
        DEFAULT_GEARS[-1],
        FailurePolicy.ABSTAIN,
        lambda *_: None,
    )
    raw = [each.attempts[0].reliability for each in gatekeeper.decide(images)]
    accepted = [
        each.outcome.label is not None for each in answers if isinstance(each, EngineAnswer)
    ]
    assert accepted == [each >= alone_at for each in raw]
    assert 0 < sum(accepted) < 24
