"""One engine: a thread that computes batches, a supervisor beside it, and the door in front."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TypeAlias

from torch import Tensor

from gatekeeper.engine.admission import Line, WorkAhead, check_admission, predicted_s
from gatekeeper.engine.answers import EngineAnswer, Mark, failed
from gatekeeper.engine.gears import Gear, GearBox
from gatekeeper.engine.latency import LatencyModel
from gatekeeper.engine.options import EngineOptions, Observer, Silent
from gatekeeper.engine.problems import EngineDownError, OverloadError, StageError
from gatekeeper.engine.stages import Doubted, Stages
from gatekeeper.engine.state import State
from gatekeeper.engine.turns import Stage, next_stage
from gatekeeper.engine.waiting import Item, WaitingRoom
from gatekeeper.engine.work import QUEUE_FULL, decide_batch, restore_batch, unrestored, withheld

Looking: TypeAlias = Item[Tensor, EngineAnswer]
Restoring: TypeAlias = Item[tuple[Doubted, Gear], EngineAnswer]

# How much the newest batch of first looks weighs in the share of those that lead to restoration.
_NEWEST = 0.1


class Engine:
    """Decides images in batches, in one thread; nothing that was let in stays unanswered.

    An idle engine computes at once what it gets; a busy one lets the next batch grow meanwhile.
    What an answer says depends on its own image and on the gear of the moment, never on the batch.

    Args:
        load: Makes the stages, tried out, in the engine's thread; called again after an engine was
            lost.
        options: Bounds and policies.
        observer: Is told what happens.
        on_ready: Called in the engine's thread each time that it has become ready.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        load: Callable[[], Stages],
        options: EngineOptions | None = None,
        *,
        observer: Observer | None = None,
        on_ready: Callable[[], object] = bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options or EngineOptions()
        self._load = load
        self._observer = observer or Silent()
        self._on_ready = on_ready
        self._clock = clock
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._state = State.LOADING
        self._failure: Exception | None = None
        self._first: WaitingRoom[Tensor, EngineAnswer] = WaitingRoom(
            max_items=self.options.max_waiting, max_bytes=self.options.max_bytes
        )
        self._second: WaitingRoom[tuple[Doubted, Gear], EngineAnswer] = WaitingRoom(
            max_items=self.options.max_restoring, max_bytes=self.options.max_bytes
        )
        self._latency = {stage: LatencyModel() for stage in Stage}
        # Shrinks where memory does not suffice.
        self._batch = {
            Stage.DECIDE: self.options.batch,
            Stage.RESTORE: self.options.restore_batch,
        }
        self._gears = GearBox(self.options.gears)
        self._restored_share = 0.0
        self._firsts_in_a_row = 0
        # Each engine thread has a number; one that was given up finds that its number has passed.
        self._number = 0
        self._losses = 0
        self._thread: threading.Thread | None = None
        self._running: tuple[Stage, Sequence[Looking | Restoring], float] | None = None

    # --- the door -------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    @property
    def is_ready(self) -> bool:
        """Whether work is let in and gets done: an engine that hangs is not ready."""
        running = self._running
        return self._state is State.READY and not (running and self._hangs(running[2]))

    def _hangs(self, since: float) -> bool:
        return self._clock() - since > self.options.hang_after_s

    @property
    def failure(self) -> Exception | None:
        """Why it was given up, None unless it was."""
        return self._failure

    @property
    def gear(self) -> Gear:
        """The gear of the moment."""
        return self._gears.gear

    def waiting(self, stage: Stage) -> tuple[int, int]:
        """How many images wait for a stage, and the bytes that they hold."""
        room = self._first if stage is Stage.DECIDE else self._second
        return len(room), room.nbytes

    def check(self, n: int, *, deadline_s: float | None = None) -> None:
        """Whether ``n`` images would be let in now.

        Raises:
            OverloadError: they would be late or overfill the queue; it says when to come back.
            EngineDownError: no engine runs.
        """
        with self._changed:
            self._check(n, 0, self.options.deadline_s if deadline_s is None else deadline_s)

    def submit(
        self, images: Sequence[Tensor], *, deadline_s: float | None = None
    ) -> list[Future[EngineAnswer]]:
        """Let images in, all or none.

        Args:
            images: Each of shape (3, H, W), float32, RGB, in [0, 1]; checked before.
            deadline_s: Time that their answers have; None takes that of the options.

        Returns:
            One future per image. Cancel one where nobody waits for it any more. It ends with an
            answer, or with :class:`StageError`, :class:`DeadlineError` or
            :class:`EngineDownError`.

        Raises:
            OverloadError: they would be late or overfill the queue; it says when to come back.
            EngineDownError: no engine runs.
        """
        seconds = self.options.deadline_s if deadline_s is None else deadline_s
        futures: list[Future[EngineAnswer]] = [Future() for _ in images]
        sizes = [image.numel() * image.element_size() for image in images]
        with self._changed:
            self._check(len(images), sum(sizes), seconds)
            now = self._clock()
            for image, size, future in zip(images, sizes, futures, strict=True):
                self._first.put(Item(image, tuple(image.shape), size, now + seconds, future, now))
            self._changed.notify_all()
        return futures

    def _check(self, n: int, nbytes: int, deadline_s: float) -> None:
        if self._state is not State.READY:
            raise EngineDownError(f"expected a ready engine, this one is {self._state}: try later")
        now = self._clock()
        if not self._first.has_room(n, nbytes):
            self._first.prune(now)
        try:
            if self._first.nbytes + nbytes > self.options.max_bytes:
                raise OverloadError(
                    "queue_full",
                    1,
                    f"expected at most {self.options.max_bytes} bytes of images waiting, got more: "
                    "come back in 1 s",
                )
            check_admission(
                self._ahead(now),
                n,
                *self._lines(),
                deadline_s=deadline_s,
            )
        except OverloadError as error:
            self._observer.refused(error.why)
            raise

    def _lines(self) -> tuple[Line, Line]:
        bounds = (self.options.max_waiting, self.options.max_restoring)
        first, second = (
            Line(latency=self._latency[stage], batch=self._batch[stage], bound=bound)
            for stage, bound in zip(Stage, bounds, strict=True)
        )
        return first, second

    def _ahead(self, now: float) -> WorkAhead:
        rest = 0.0
        if self._running is not None:
            stage, items, since = self._running
            rest = max(0.0, since + self._latency[stage].predict(len(items)) - now)
        return WorkAhead(
            running_s=rest,
            first=len(self._first),
            second=len(self._second),
            restored_share=self._restored_share * self.gear.restored_share,
        )

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to load; returns at once."""
        with self._changed:
            self._spawn()
        threading.Thread(target=self._supervise, name="gatekeeper-supervisor", daemon=True).start()

    def close(self, timeout_s: float = 10.0) -> None:
        """Let in nothing more, finish what was let in as far as time allows, answer the rest.

        Args:
            timeout_s: Time for that.
        """
        with self._changed:
            self._changed.wait_for(self._is_idle, timeout_s)
            self._leave(State.CLOSED)

    def _is_idle(self) -> bool:
        busy = len(self._first) or len(self._second) or self._running
        return self._state is not State.READY or not busy

    def _leave(self, state: State) -> None:
        """For good: everything still waiting is answered."""
        self._state = state
        self._over.set()
        self._number += 1
        down = EngineDownError(f"expected a ready engine, this one is {state}: try another")
        running = self._running[1] if self._running else ()
        self._running = None
        for item in (*running, *self._first.clear(), *self._second.clear()):
            item.answer(down)
        self._changed.notify_all()

    def _spawn(self) -> None:
        self._number += 1
        self._state = State.LOADING
        self._thread = threading.Thread(
            target=self._live, args=(self._number,), name="gatekeeper-engine", daemon=True
        )
        self._thread.start()

    def _live(self, number: int) -> None:
        """All that the engine's thread does, from loading to its end."""
        try:
            stages = self._load()
        except Exception as error:  # noqa: BLE001  # kept as the reason why it does not run
            with self._changed:
                if number == self._number:
                    self._failure = error
                    self._leave(State.FAILED)
            return
        with self._changed:
            if number != self._number:
                return
            self._state = State.READY
            self._changed.notify_all()
        try:
            self._on_ready()
            while self._work_once(number, stages):
                pass
        except Exception as error:  # noqa: BLE001  # a lost engine is replaced, whatever it died of
            with self._changed:
                self._lose(number, error)

    def _supervise(self) -> None:
        """Give up an engine that hangs or is gone; answer at once what is too late."""
        pause = min(0.25, self.options.hang_after_s / 4)
        # Not woken by what changes meanwhile: each request would pay for that.
        while not self._over.wait(pause):
            with self._changed:
                if self._over.is_set():
                    return
                if self._running is not None and self._hangs(self._running[2]):
                    self._lose(self._number, _lost(f"took over {self.options.hang_after_s:g} s"))
                elif self._thread is not None and not self._thread.is_alive():
                    # It died of something that is no Exception.
                    self._lose(self._number, _lost("ended"))
                now = self._clock()
                self._first.prune(now)
                self._second.prune(now)

    def _lose(self, number: int, error: Exception) -> None:
        """Answer what the engine was at, and start another."""
        if number != self._number:
            return
        self._observer.engine_lost(error)
        self._losses += 1
        if self._running is not None:
            stage, items, _ = self._running
            self._running = None
            for item in items:
                item.answer(self._lost_answer(item.payload, stage, error))
        if self._losses > self.options.max_restarts:
            self._failure = error
            self._leave(State.FAILED)
        else:
            self._spawn()

    def _lost_answer(
        self, payload: Tensor | tuple[Doubted, Gear], stage: Stage, error: Exception
    ) -> EngineAnswer | StageError:
        policy = self.options.policies[stage]
        if isinstance(payload, tuple):
            return unrestored(*payload, policy, error)
        return failed(policy, stage, error=error, label=None, gear=self.gear.name)

    # --- work -----------------------------------------------------------------------------------

    def _work_once(self, number: int, stages: Stages) -> bool:
        """Compute one batch; False once the engine is to end."""
        with self._changed:
            taken = self._take(number)
            if taken is None:
                return False
            stage, items = taken
            began = self._clock()
            self._running = (stage, items, began)
            gear = self._shift(began)
        answers, batch = self._compute(stages, stage, items, gear)
        with self._changed:
            if number != self._number:
                return False
            self._running = None
            ended = self._clock()
            for item, result in zip(items, answers, strict=True):
                mark = Mark(stage=stage, entered=item.entered, began=began, ended=ended)
                self._settle(item, result, gear, (*item.marks, mark))
            self._batch[stage] = min(self._batch[stage], batch or self._batch[stage])
            self._losses = 0
            seconds = ended - began
            self._latency[stage].observe(len(items), seconds)
            self._changed.notify_all()
        self._observer.batch_done(stage, len(items), seconds)
        return True

    def _compute(
        self,
        stages: Stages,
        stage: Stage,
        items: Sequence[Looking | Restoring],
        gear: Gear,
    ) -> tuple[Sequence[EngineAnswer | StageError | Doubted], int | None]:
        policy, tell = self.options.policies[stage], self._observer.stage_failed
        if stage is Stage.DECIDE:
            images = [item.payload for item in items if isinstance(item.payload, Tensor)]
            results, batch = decide_batch(stages, images, gear, policy, tell)
            share = sum(isinstance(result, Doubted) for result in results) / len(results)
            if gear.is_full:
                self._restored_share += _NEWEST * (share - self._restored_share)
            return results, batch
        pairs = [item.payload for item in items if isinstance(item.payload, tuple)]
        return restore_batch(
            stages, [pair[0] for pair in pairs], [pair[1] for pair in pairs], policy, tell
        )

    def _settle(
        self,
        item: Looking | Restoring,
        result: EngineAnswer | StageError | Doubted,
        gear: Gear,
        marks: tuple[Mark, ...],
    ) -> None:
        """Answer an image, or let it wait for its restoration."""
        if isinstance(result, Doubted) and self._second.has_room(1, item.nbytes):
            waiting = (item.bucket, item.nbytes, item.deadline, item.future, marks[-1].ended, marks)
            self._second.put(Item((result, gear), *waiting))
            return
        if isinstance(result, Doubted):
            result = withheld(result, gear, QUEUE_FULL)
        item.answer(replace(result, marks=marks) if isinstance(result, EngineAnswer) else result)

    def _take(self, number: int) -> tuple[Stage, Sequence[Looking | Restoring]] | None:
        while number == self._number:
            stage = next_stage(
                first=len(self._first),
                second=len(self._second),
                firsts_in_a_row=self._firsts_in_a_row,
            )
            if stage is None:
                self._changed.wait()
                continue
            room = self._first if stage is Stage.DECIDE else self._second
            items: Sequence[Looking | Restoring] = room.take(self._clock(), self._batch[stage])
            self._firsts_in_a_row = self._firsts_in_a_row + 1 if stage is Stage.DECIDE else 0
            if items:
                return stage, items
        return None

    def _shift(self, now: float) -> Gear:
        """The gear for the load: predicted waiting ÷ time allowed, all of it at the full gear."""
        ahead = replace(self._ahead(now), running_s=0.0, restored_share=self._restored_share)
        gear = self._gears.shift(predicted_s(ahead, 0, *self._lines()) / self.options.deadline_s)
        self._observer.shifted(gear)
        return gear


def _lost(how: str) -> StageError:
    return StageError(f"expected the engine to finish its batch, it {how}: it is replaced")
