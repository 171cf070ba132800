"""One batch through one stage: each image gets an answer, an error, or a restoration to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from gatekeeper.classifiers.upstream import UpstreamError, UpstreamRefusedError
from gatekeeper.decision import Action, Decision, Reason
from gatekeeper.engine.answers import EngineAnswer, FailurePolicy, failed
from gatekeeper.engine.gears import Gear
from gatekeeper.engine.isolation import Isolated, run_isolated
from gatekeeper.engine.problems import StageError
from gatekeeper.engine.stages import NO_RESTORER, Doubted, Judged, Stages
from gatekeeper.engine.turns import Stage

R = TypeVar("R")
TellFailure = Callable[[Stage, Exception], None]

QUEUE_FULL = "restore_queue_full"
"""Flag of an answer that went without restoration because too many images wait for theirs."""


def is_exhausted(error: Exception) -> bool:
    """Whether memory ran out: a smaller batch may pass."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError)


def is_fatal(error: Exception) -> bool:
    """Whether the device cannot be used any more: only a new start helps."""
    return isinstance(error, torch.AcceleratorError)


def decide_batch(
    stages: Stages,
    images: Sequence[Tensor],
    gear: Gear,
    policy: FailurePolicy,
    tell_failure: TellFailure,
) -> tuple[list[EngineAnswer | StageError | Doubted], int | None]:
    """First looks.

    Args:
        stages: Compute.
        images: Of one shape (3, H, W), at least one.
        gear: Of the moment; what it does not restore is answered at once.
        policy: For images on which the stage failed.
        tell_failure: Is told of each such image.

    Returns:
        One result per image, and the largest batch that fitted into memory where one did not.
    """

    def first(part: Sequence[Tensor]) -> Sequence[Judged | Doubted | Exception]:
        return _together(lambda: stages.first(torch.stack(list(part))), len(part))

    done: Isolated[Judged | Doubted] = run_isolated(
        first,
        images,
        is_exhausted=is_exhausted,
        is_fatal=is_fatal,
    )
    results: list[EngineAnswer | StageError | Doubted] = []
    for image, result in zip(images, done.results, strict=True):
        if isinstance(result, Exception):
            tell_failure(Stage.DECIDE, result)
            label = _label(stages, image) if policy is FailurePolicy.PASS_FLAGGED else None
            results.append(failed(policy, Stage.DECIDE, error=result, label=label, gear=gear.name))
        elif gear.restored_share == 0 and _judged(result).alone_at is not None:
            results.append(unaided(result, gear))
        elif isinstance(result, Judged):
            results.append(settled(result, gear))
        elif gear.restores(result.draw):
            results.append(result)
        else:
            results.append(withheld(result, gear, f"gear_{gear.name}"))
    return results, done.batch


def restore_batch(
    stages: Stages,
    doubted: Sequence[Doubted],
    gears: Sequence[Gear],
    policy: FailurePolicy,
    tell_failure: TellFailure,
) -> tuple[list[EngineAnswer | StageError], int | None]:
    """Restorations and second looks.

    Args:
        stages: Compute.
        doubted: Of one shape, at least one.
        gears: The gear of each, as it was at the first look.
        policy: For images on which the stage failed. Abstaining keeps the first look's decision,
            flagged: that is an abstention.
        tell_failure: Is told of each such image.

    Returns:
        One result per image, and the largest batch that fitted into memory where one did not.
    """

    def second(part: Sequence[Doubted]) -> Sequence[Judged | Exception]:
        return _together(lambda: stages.second(part), len(part))

    done = run_isolated(second, doubted, is_exhausted=is_exhausted, is_fatal=is_fatal)
    results: list[EngineAnswer | StageError] = []
    for each, gear, result in zip(doubted, gears, done.results, strict=True):
        if not isinstance(result, Exception):
            results.append(settled(result, gear))
            continue
        tell_failure(Stage.RESTORE, result)
        results.append(unrestored(each, gear, policy, result))
    return results, done.batch


def unrestored(
    doubted: Doubted, gear: Gear, policy: FailurePolicy, error: Exception
) -> EngineAnswer | StageError:
    """What is answered for an image whose restoration failed."""
    if policy is FailurePolicy.ABSTAIN:
        judged = _because(doubted.unrestored, Reason.RESTORATION_FAILED)
        return settled(judged, gear, f"{Stage.RESTORE}_failed")
    label = doubted.unrestored.decision.attempts[0].label
    return failed(policy, Stage.RESTORE, error=error, label=label, gear=gear.name)


def withheld(doubted: Doubted, gear: Gear, why: str) -> EngineAnswer:
    """What is answered for an image that a restorer fits and that the load leaves unrestored."""
    return settled(_because(doubted.unrestored, Reason.RESTORATION_WITHHELD), gear, why)


def unaided(result: Judged | Doubted, gear: Gear) -> EngineAnswer:
    """What the policy without restoration answers, which has a threshold and a certificate its own.

    Args:
        result: Of the first look.
        gear: One that restores nothing.
    """
    judged = _judged(result)
    raw = judged.decision.attempts[0]
    accepts = judged.alone_at is not None and raw.reliability >= judged.alone_at
    action, reason = Action.ACCEPT, Reason.ACCEPTED_RAW
    if not accepts:
        action = Action.ABSTAIN
        # What the whole policy would have restored, or accepted at a threshold of its own.
        nothing_fits = isinstance(result, Judged) and judged.decision.label is None
        reason = judged.decision.reason if nothing_fits else Reason.RESTORATION_WITHHELD
    decision = replace(
        judged.decision,
        action=action,
        reason=reason,
        label=raw.label if accepts else None,
        attempts=(replace(raw, action=action),),
        policy=f"{NO_RESTORER}@{gear.name}",
        certified=True,
    )
    return EngineAnswer(
        outcome=decision,
        gear=gear.name,
        degraded=(f"gear_{gear.name}",) if reason is Reason.RESTORATION_WITHHELD else (),
        probabilities=judged.probabilities,
        signals=judged.signals,
    )


def _judged(result: Judged | Doubted) -> Judged:
    """The decision where nothing is restored."""
    return result if isinstance(result, Judged) else result.unrestored


def _because(judged: Judged, reason: Reason) -> Judged:
    return replace(judged, decision=replace(judged.decision, reason=reason))


def settled(judged: Judged, gear: Gear, *degraded: str) -> EngineAnswer:
    """The answer of a decision.

    Only the full gear with nothing degraded is the policy that was certified; every other variant
    carries its gear, or what was degraded, in the policy's name and no certificate. (For the gear
    that restores nothing see :func:`unaided`.)
    """
    decision: Decision = judged.decision
    if not gear.is_full or degraded:
        variant = degraded[0] if gear.is_full else gear.name
        decision = replace(decision, policy=f"{decision.policy}@{variant}", certified=False)
    return EngineAnswer(
        outcome=decision,
        gear=gear.name,
        degraded=degraded,
        probabilities=judged.probabilities,
        image=judged.image,
        signals=judged.signals,
    )


def _together(compute: Callable[[], Sequence[R]], n: int) -> Sequence[R | Exception]:
    """The results of a batch of ``n``, or the same error for each where an upstream is down.

    No image is at fault then, and to ask again for one after another would only add load.
    """
    try:
        return compute()
    except UpstreamRefusedError:
        raise
    except UpstreamError as error:
        return [error] * n


def _label(stages: Stages, image: Tensor) -> int | None:
    """The classifier's own answer; None where not even that can be had."""
    try:
        [label] = stages.labels(image[None])
    except Exception as error:
        if is_fatal(error):
            raise
        return None
    return label
