"""The thread at the rim: batches, deadlines, failures, loss and replacement of the engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import pytest
import torch

from gatekeeper.classifiers.upstream import UpstreamDownError, UpstreamRefusedError
from gatekeeper.decision import Action, Decision, Reason
from gatekeeper.engine import (
    DeadlineError,
    Engine,
    EngineAnswer,
    EngineDownError,
    EngineOptions,
    Failure,
    FailurePolicy,
    Gear,
    OverloadError,
    Stage,
    StageError,
    State,
)
from tests.engine.conftest import BRIGHT, DARK, NAN, POISON, FakeStages, picture, wait_until

ALL = {
    policy: {Stage.DECIDE: policy, Stage.RESTORE: policy}
    for policy in (FailurePolicy.REFUSE, FailurePolicy.ABSTAIN, FailurePolicy.PASS_FLAGGED)
}


@pytest.fixture
def start() -> Iterator[Callable[..., Engine]]:
    """``start(stages, **options)``: an engine that is ready; closed after the test."""
    with ExitStack() as running:

        def start_engine(load: Any, *, clock: Any = None, **options: Any) -> Engine:
            make = load if callable(load) else lambda: load
            more = {} if clock is None else {"clock": clock}
            engine = Engine(make, EngineOptions(**options), **more)
            running.callback(engine.close, 0.0)
            engine.start()
            wait_until(lambda: engine.state is not State.LOADING)
            return engine

        yield start_engine


def result(future: Future[EngineAnswer]) -> EngineAnswer:
    return future.result(10)


def labels(engine: Engine, *values: float) -> list[Any]:
    """Label per image, or the type of its error."""
    found: list[Any] = []
    for future in engine.submit([picture(value) for value in values]):
        error = future.exception(10)
        found.append(result(future).outcome.label if error is None else type(error))
    return found


def test_both_stages(start: Callable[..., Engine], stages: FakeStages) -> None:
    engine = start(stages)
    bright, dark = (result(f) for f in engine.submit([picture(BRIGHT), picture(DARK)]))
    assert (bright.outcome.label, bright.gear, bright.degraded) == (1, "full", ())
    assert (dark.outcome.label, dark.gear, dark.degraded) == (2, "full", ())
    assert stages.calls == [("decide", 2), ("restore", 1)]
    assert isinstance(bright.outcome, Decision)
    assert (bright.outcome.certified, bright.outcome.policy) == (True, "restore")
    assert [mark.stage for mark in bright.marks] == [Stage.DECIDE]
    assert [mark.stage for mark in dark.marks] == [Stage.DECIDE, Stage.RESTORE]
    first, second = dark.marks
    assert first == bright.marks[0]  # they came and were looked at together
    times = [first.entered, first.began, first.ended, second.entered, second.began, second.ended]
    assert times == sorted(times)
    assert first.ended == second.entered


def busy(engine: Engine, stages: FakeStages) -> Future[EngineAnswer]:
    """One image is being computed until ``stages.gate`` is set."""
    stages.gate.clear()
    [first] = engine.submit([picture(BRIGHT)])
    assert stages.entered.acquire(timeout=10)
    return first


def test_idle_dispatches_at_once_and_busy_accumulates(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    engine = start(stages, batch=4)
    first = busy(engine, stages)
    rest = [engine.submit([picture(BRIGHT)])[0] for _ in range(6)]
    assert engine.waiting(Stage.DECIDE) == (6, 6 * 3 * 4 * 4)
    stages.gate.set()
    assert [result(each).outcome.label for each in (first, *rest)] == [1] * 7
    assert stages.calls == [("decide", 1), ("decide", 4), ("decide", 2)]


def test_shapes_do_not_mix(start: Callable[..., Engine], stages: FakeStages) -> None:
    engine = start(stages)
    first = busy(engine, stages)
    rest = engine.submit([picture(BRIGHT, 2), picture(BRIGHT, 3), picture(BRIGHT, 2)])
    stages.gate.set()
    assert [result(each).outcome.label for each in (first, *rest)] == [1] * 4
    assert stages.calls == [("decide", 1), ("decide", 2), ("decide", 1)]


@pytest.mark.parametrize("bad", [POISON, NAN])
def test_a_bad_image_fails_alone(
    start: Callable[..., Engine], stages: FakeStages, bad: float
) -> None:
    engine = start(stages, batch=32, policies=ALL[FailurePolicy.REFUSE])
    found = labels(engine, *[BRIGHT] * 5, bad, *[BRIGHT] * 5)
    assert found == [1] * 5 + [StageError] + [1] * 5


def test_memory_that_runs_out_makes_batches_small_for_good(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    stages.fits = 2
    engine = start(stages, batch=8)
    assert labels(engine, *[BRIGHT] * 8) == [1] * 8
    stages.calls.clear()
    assert labels(engine, *[BRIGHT] * 8) == [1] * 8
    assert {n for _, n in stages.calls} == {2}


@pytest.mark.parametrize(
    ("policy", "what", "label"),
    [
        (FailurePolicy.REFUSE, StageError, None),
        (FailurePolicy.ABSTAIN, Action.ABSTAIN, None),
        (FailurePolicy.PASS_FLAGGED, Action.ACCEPT, 7),
    ],
)
def test_policy_where_deciding_fails(
    start: Callable[..., Engine],
    stages: FakeStages,
    policy: FailurePolicy,
    what: Any,
    label: int | None,
) -> None:
    stages.error = RuntimeError("broken")
    [future] = start(stages, policies=ALL[policy]).submit([picture(BRIGHT)])
    if what is StageError:
        with pytest.raises(StageError, match="expected to decide this image"):
            future.result(10)
        return
    answer = result(future)
    assert isinstance(answer.outcome, Failure)
    assert (answer.outcome.action, answer.outcome.label) == (what, label)
    assert answer.degraded == ("decide_failed",)


def test_nothing_is_passed_where_the_classifier_fails_too(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    stages.error = stages.label_error = RuntimeError("broken")
    engine = start(stages, policies=ALL[FailurePolicy.PASS_FLAGGED])
    assert labels(engine, BRIGHT) == [StageError]


@pytest.mark.parametrize(
    ("policy", "action", "label"),
    [
        (FailurePolicy.REFUSE, StageError, None),
        (FailurePolicy.ABSTAIN, Action.ABSTAIN, None),
        (FailurePolicy.PASS_FLAGGED, Action.ACCEPT, 3),
    ],
)
def test_policy_where_restoring_fails(
    start: Callable[..., Engine],
    stages: FakeStages,
    policy: FailurePolicy,
    action: Any,
    label: int | None,
) -> None:
    stages.restore_error = RuntimeError("broken")
    [future] = start(stages, policies=ALL[policy]).submit([picture(DARK)])
    if action is StageError:
        with pytest.raises(StageError, match="expected to restore this image"):
            future.result(10)
        return
    answer = result(future)
    assert (answer.outcome.action, answer.outcome.label) == (action, label)
    assert answer.degraded == ("restore_failed",)
    if isinstance(answer.outcome, Decision):
        assert not answer.outcome.certified
        assert answer.outcome.policy == "restore@restore_failed"
        assert answer.outcome.reason is Reason.RESTORATION_FAILED


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("stage", [Stage.DECIDE, Stage.RESTORE])
def test_an_upstream_that_is_down_is_not_asked_image_by_image(
    start: Callable[..., Engine], stages: FakeStages, stage: Stage
) -> None:
    down = UpstreamDownError("nobody there")
    engine = start(stages, policies=ALL[FailurePolicy.REFUSE], batch=8)
    if stage is Stage.DECIDE:
        stages.error = down
    else:
        stages.restore_error = down
    for future in engine.submit([picture(DARK)] * 4):
        error = future.exception(10)
        assert isinstance(error, StageError)
        assert error.__cause__ is down
    assert [call for call in stages.calls if call[0] == stage] == [(stage, 4)]


def test_an_upstream_that_refuses_one_image_answers_the_others(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    judge = stages._judge

    def refuse(value: float, image: Any) -> Any:
        if value == NAN:
            raise UpstreamRefusedError(400, "not this one")
        return judge(value, image)

    stages._judge = refuse  # type: ignore[method-assign]
    assert labels(start(stages, batch=8), BRIGHT, NAN, BRIGHT) == [1, None, 1]


def test_what_is_late_is_never_computed(start: Callable[..., Engine], stages: FakeStages) -> None:
    clock = Clock()
    engine = start(stages, clock=clock, deadline_s=100.0)
    first = busy(engine, stages)
    [late] = engine.submit([picture(BRIGHT)], deadline_s=5.0)
    [gone] = engine.submit([picture(BRIGHT)])
    gone.cancel()
    clock.now = 5.0
    with pytest.raises(DeadlineError):  # by the supervisor, while the engine is busy
        late.result(10)
    stages.gate.set()
    assert result(first).outcome.label == 1
    assert labels(engine, BRIGHT) == [1]
    assert stages.calls == [("decide", 1), ("decide", 1)]


def test_a_client_that_left_before_its_restoration(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    engine = start(stages)
    stages.gate.clear()
    [future] = engine.submit([picture(DARK)])
    assert stages.entered.acquire(timeout=10)
    future.cancel()
    stages.gate.set()
    assert labels(engine, BRIGHT) == [1]
    assert ("restore", 1) not in stages.calls


def test_a_full_queue_refuses_and_says_when_to_come_back(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    engine = start(stages, max_waiting=3)
    first = busy(engine, stages)
    rest = engine.submit([picture(BRIGHT)] * 3)
    with pytest.raises(OverloadError) as caught:
        engine.submit([picture(BRIGHT)])
    assert (caught.value.why, caught.value.retry_after_s) == ("queue_full", 1)
    rest[1].cancel()  # its place is given to another
    [more] = engine.submit([picture(BRIGHT)])
    stages.gate.set()
    assert [result(each).outcome.label for each in (first, rest[0], rest[2], more)] == [1] * 4


def test_bytes_are_bounded(start: Callable[..., Engine], stages: FakeStages) -> None:
    engine = start(stages, max_bytes=100)
    with pytest.raises(OverloadError, match="at most 100 bytes of images waiting"):
        engine.submit([picture(BRIGHT)] * 3)
    assert labels(engine, BRIGHT, BRIGHT) == [1, 1]


def test_what_would_be_late_is_refused_at_the_door(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    clock = Clock()
    engine = start(stages, clock=clock)
    first = busy(engine, stages)
    clock.now = 2.0
    stages.gate.set()
    result(first)  # one image took two seconds
    with pytest.raises(OverloadError) as caught:
        engine.check(1, deadline_s=1.5)
    assert (caught.value.why, caught.value.retry_after_s) == ("too_late", 1)
    engine.check(1, deadline_s=2.0)


def test_a_full_restoration_queue_is_flagged(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    engine = start(stages, max_restoring=2, batch=8)
    answers = [result(f) for f in engine.submit([picture(DARK)] * 4)]
    assert [a.outcome.label for a in answers] == [2, 2, None, None]
    assert [a.degraded for a in answers] == [(), (), *[("restore_queue_full",)] * 2]
    outcomes = [a.outcome for a in answers if isinstance(a.outcome, Decision)]
    assert [o.certified for o in outcomes] == [True, True, False, False]
    assert [o.reason for o in outcomes[2:]] == [Reason.RESTORATION_WITHHELD] * 2
    assert outcomes[2].policy == "restore@restore_queue_full"


def test_gears_lower_the_restored_share(start: Callable[..., Engine], stages: FakeStages) -> None:
    table = (
        Gear(name="full", load_from=0.0, restored_share=1.0),
        Gear(name="raw_only", load_from=1e-6, restored_share=0.0),
    )
    engine = start(stages, gears=table, batch=1)
    first = busy(engine, stages)
    dark, last = engine.submit([picture(DARK), picture(BRIGHT)])
    stages.gate.set()
    assert result(first).gear == "full"  # nothing waited when it was taken
    shed = result(dark)
    assert (shed.gear, shed.degraded) == ("raw_only", ("gear_raw_only",))
    assert isinstance(shed.outcome, Decision)
    assert shed.outcome.action is Action.ABSTAIN
    assert (shed.outcome.certified, shed.outcome.policy) == (False, "restore@raw_only")
    # No reason may say that nothing fits where the load is why nothing was done.
    assert shed.outcome.reason is Reason.RESTORATION_WITHHELD
    assert result(last).gear == "full"
    assert ("restore", 1) not in stages.calls


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [torch.AcceleratorError("device"), SystemExit()])
def test_a_dead_engine_is_replaced_and_nothing_is_lost(
    start: Callable[..., Engine], stages: FakeStages, error: BaseException
) -> None:
    loads = [stages, FakeStages()]
    engine = start(lambda: loads.pop(0), batch=1)
    first = busy(engine, stages)
    [second] = engine.submit([picture(BRIGHT)])
    stages.error = error
    stages.gate.set()
    assert isinstance(result(first).outcome, Failure)
    assert result(second).outcome.label == 1
    assert loads == []
    assert engine.is_ready


def test_a_hung_engine_is_not_ready_and_is_replaced(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    clock = Clock()
    fresh = FakeStages()
    loaded = threading.Event()
    loads = [lambda: stages, lambda: loaded.wait(10) and fresh]
    engine = start(lambda: loads.pop(0)(), clock=clock, hang_after_s=30.0, batch=1, deadline_s=99)
    hung = busy(engine, stages)
    [next_one] = engine.submit([picture(BRIGHT)])
    clock.now = 30.0
    assert engine.is_ready
    clock.now = 30.1
    assert not engine.is_ready
    assert isinstance(result(hung).outcome, Failure)  # answered while it still hangs
    with pytest.raises(EngineDownError):
        engine.submit([picture(BRIGHT)])
    loaded.set()
    assert result(next_one).outcome.label == 1
    stages.gate.set()  # the lost thread wakes up, and disturbs nobody
    assert labels(engine, BRIGHT) == [1]
    assert len(stages.calls) == 1


def test_an_engine_that_keeps_dying_is_given_up(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    stages.error = torch.AcceleratorError("device")
    engine = start(stages, max_restarts=2, batch=1)
    futures = engine.submit([picture(BRIGHT)] * 4)
    outcomes = [f.exception(10) or result(f).outcome for f in futures]
    assert [type(o) for o in outcomes] == [Failure] * 3 + [EngineDownError]
    wait_until(lambda: engine.state is State.FAILED)
    assert isinstance(engine.failure, torch.AcceleratorError)


def test_it_tells_when_it_has_become_ready(stages: FakeStages) -> None:
    states: list[bool] = []
    engine = Engine(lambda: stages, on_ready=lambda: states.append(engine.is_ready))
    engine.start()
    wait_until(lambda: states == [True])
    engine.close()


def test_an_engine_that_cannot_load(start: Callable[..., Engine]) -> None:
    def load() -> Any:
        raise KeyError("no bundle")

    engine = start(load)
    assert (engine.state, engine.is_ready) == (State.FAILED, False)
    assert isinstance(engine.failure, KeyError)
    with pytest.raises(EngineDownError, match="this one is failed"):
        engine.check(1)


def test_closing_finishes_what_was_let_in(start: Callable[..., Engine], stages: FakeStages) -> None:
    engine = start(stages, batch=1)
    first = busy(engine, stages)
    rest = engine.submit([picture(DARK)] * 3)
    threading.Timer(0.05, stages.gate.set).start()
    engine.close(10.0)
    assert [result(f).outcome.label for f in (first, *rest)] == [1, 2, 2, 2]
    with pytest.raises(EngineDownError, match="this one is closed"):
        engine.submit([picture(BRIGHT)])


def test_closing_in_a_hurry_answers_the_rest(
    start: Callable[..., Engine], stages: FakeStages
) -> None:
    engine = start(stages, batch=1)
    futures = [busy(engine, stages), *engine.submit([picture(BRIGHT)])]
    engine.close(0.0)
    assert [type(f.exception(10)) for f in futures] == [EngineDownError] * 2
    stages.gate.set()
