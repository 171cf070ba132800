"""One batch at a gear that restores nothing, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gatekeeper.decision import Action, Decision, Reason
from gatekeeper.engine import DEFAULT_GEARS, Doubted, EngineAnswer, FailurePolicy, Judged
from gatekeeper.engine.stages import certified_alone_at
from gatekeeper.engine.work import decide_batch
from tests.engine.conftest import decision, doubt, picture

FULL, HALF, RAW_ONLY = DEFAULT_GEARS


class Given:
    """Stages whose first looks are given."""

    def __init__(self, *results: Judged | Doubted) -> None:
        self._results = results

    def first(self, _: object) -> Sequence[Judged | Doubted | Exception]:
        return self._results

    def second(self, _: object) -> Sequence[Judged | Exception]:
        pytest.fail("nothing is restored")

    def labels(self, _: object) -> Sequence[int]:
        pytest.fail("nothing fails")


def looked(
    reliability: float, alone_at: float | None, action: Action, *, doubted: bool = False
) -> Judged | Doubted:
    """A first look at an image with this raw reliability."""
    plain = decision(4, action)
    attempts = (replace(plain.attempts[0], reliability=reliability),)
    judged = Judged(decision=replace(plain, attempts=attempts), alone_at=alone_at)
    return replace(doubt(picture(0.5)), unrestored=judged) if doubted else judged


def answered(result: Judged | Doubted, gear=RAW_ONLY) -> EngineAnswer:  # type: ignore[no-untyped-def]
    [answer], _ = decide_batch(
        Given(result), [picture(0.5)], gear, FailurePolicy.ABSTAIN, lambda *_: None
    )
    assert isinstance(answer, EngineAnswer)
    return answer


WITHHELD = ("gear_raw_only",)


@pytest.mark.parametrize(
    ("reliability", "action", "doubted", "label", "reason", "degraded"),
    [
        (0.7, Action.ACCEPT, False, 4, Reason.ACCEPTED_RAW, ()),
        # The whole policy accepts it at a lower threshold.
        (0.69, Action.ACCEPT, False, None, Reason.RESTORATION_WITHHELD, WITHHELD),
        # The whole policy doubts it at a higher one.
        (0.7, Action.ABSTAIN, True, 4, Reason.ACCEPTED_RAW, ()),
        (0.2, Action.ABSTAIN, True, None, Reason.RESTORATION_WITHHELD, WITHHELD),
        (0.2, Action.ABSTAIN, False, None, Reason.NO_RESTORER, ()),
        (0.7, Action.ABSTAIN, False, 4, Reason.ACCEPTED_RAW, ()),
    ],
)
def test_the_gear_that_restores_nothing_is_a_policy_of_its_own(
    reliability: float,
    action: Action,
    doubted: bool,
    label: int | None,
    reason: Reason,
    degraded: tuple[str, ...],
) -> None:
    answer = answered(looked(reliability, 0.7, action, doubted=doubted))
    outcome = answer.outcome
    assert isinstance(outcome, Decision)
    assert (outcome.label, outcome.reason, answer.degraded) == (label, reason, degraded)
    assert (outcome.policy, outcome.certified) == ("no_restorer@raw_only", True)
    assert outcome.action is outcome.attempts[0].action
    assert (outcome.action is Action.ACCEPT) == (label is not None)
    assert answer.gear == "raw_only"


def test_without_a_certificate_of_its_own_it_is_flagged() -> None:
    for doubted in (False, True):
        action = Action.ABSTAIN if doubted else Action.ACCEPT
        outcome = answered(looked(0.9, None, action, doubted=doubted)).outcome
        assert isinstance(outcome, Decision)
        assert (outcome.policy, outcome.certified) == ("restore@raw_only", False)
        assert outcome.action is action


def test_gears_in_between_are_no_policy_of_their_own() -> None:
    outcome = answered(looked(0.9, 0.7, Action.ACCEPT), HALF).outcome
    assert isinstance(outcome, Decision)
    assert (outcome.policy, outcome.certified) == ("restore@half", False)
    assert answered(looked(0.9, 0.7, Action.ACCEPT), FULL).outcome.certified


def test_the_threshold_is_read_off_the_certificate() -> None:
    variant = {"certified": True, "accept_raw_at": 0.81}
    assert certified_alone_at({"variants": {"no_restorer": variant}}) == 0.81
    refused = {**variant, "certified": False}
    assert certified_alone_at({"variants": {"no_restorer": refused}}) is None
    assert certified_alone_at({"variants": {}}) is None
    assert certified_alone_at({"certified": True}) is None
