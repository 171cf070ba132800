"""The two stages over a chunk: first looks, then restorations of what was doubted.

Batches are cut by place in the chunk and by nothing else, so that a chunk gives the same answers
whenever and wherever it is computed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from gatekeeper.blas import one_blas_thread
from gatekeeper.engine import (
    DEFAULT_GEARS,
    Doubted,
    EngineAnswer,
    FailurePolicy,
    Stage,
    StageError,
    Stages,
)
from gatekeeper.engine.work import decide_batch, restore_batch

_LOG = logging.getLogger("gatekeeper.batch")
_FULL = DEFAULT_GEARS[0]
_Items = TypeVar("_Items", npt.NDArray[np.uint8], Sequence[Doubted])
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """What the first stage made of an image.

    Attributes:
        result: Its answer, why it has none, or that it is to be restored.
        decide_ms: Its share of the time of its batch.
    """

    result: EngineAnswer | StageError | Doubted
    decide_ms: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What became of an image.

    Attributes:
        result: Its answer, or why it has none.
        decide_ms: Its share of the time of its batch of first looks.
        restore_ms: Its share of the time of its batch of restorations, None where it had none.
    """

    result: EngineAnswer | StageError
    decide_ms: float
    restore_ms: float | None = None


def look_at(stages: Stages, pixels: npt.NDArray[np.uint8], *, batch: int) -> list[Looked]:
    """First looks.

    Nothing is withheld because of load: a batch has time. An image on which the stage fails is
    refused, not abstained from: nobody waits for it, and its row tells the error.

    Args:
        stages: Compute.
        pixels: uint8, shape (M, 3, H, W).
        batch: Largest batch.
    """

    def compute(
        part: npt.NDArray[np.uint8],
    ) -> tuple[list[EngineAnswer | StageError | Doubted], int | None]:
        images = torch.from_numpy(part).float().div_(255)
        return decide_batch(stages, list(images), _FULL, FailurePolicy.REFUSE, _tell)

    return [
        Looked(result=result, decide_ms=ms) for result, ms in _in_batches(compute, pixels, batch)
    ]


def finish(stages: Stages, looked: Sequence[Looked], *, batch: int) -> list[Outcome]:
    """Restorations and second looks of those that the first stage doubted.

    Where restoring fails, the decision of the first look stands as an abstention with a flag, as
    in the service.

    Args:
        stages: Compute.
        looked: Of the first stage, in order.
        batch: Largest batch.
    """

    def compute(part: Sequence[Doubted]) -> tuple[list[EngineAnswer | StageError], int | None]:
        gears = [_FULL] * len(part)
        return restore_batch(stages, part, gears, FailurePolicy.ABSTAIN, _tell)

    doubted = [each.result for each in looked if isinstance(each.result, Doubted)]
    restored = iter(list(_in_batches(compute, doubted, batch)))
    outcomes = []
    for each in looked:
        if isinstance(each.result, Doubted):
            result, ms = next(restored)
            outcomes.append(Outcome(result=result, decide_ms=each.decide_ms, restore_ms=ms))
        else:
            outcomes.append(Outcome(result=each.result, decide_ms=each.decide_ms))
    return outcomes


def _in_batches(
    compute: Callable[[_Items], tuple[list[_R], int | None]], items: _Items, batch: int
) -> list[tuple[_R, float]]:
    """Each result with its item's share of the milliseconds."""
    done: list[tuple[_R, float]] = []
    while len(done) < len(items):
        part = items[len(done) : len(done) + batch]
        began = time.perf_counter()
        with one_blas_thread():
            results, fitting = compute(part)
        share = (time.perf_counter() - began) * 1000 / len(part)
        done.extend((result, share) for result in results)
        # Where memory did not suffice, what did is not exceeded again.
        batch = min(batch, fitting or batch)
    return done


def _tell(stage: Stage, error: Exception) -> None:
    _LOG.warning("stage %s failed on an image", stage.value, exc_info=error)
