"""What an engine answers, and what it answers where a stage failed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from gatekeeper.decision import Action, Decision
from gatekeeper.engine.problems import StageError
from gatekeeper.engine.turns import Stage
from gatekeeper.types import FloatArray


class FailurePolicy(StrEnum):
    """What becomes of an image on which a stage failed.

    REFUSE gives an error (fails closed), PASS_FLAGGED the classifier's own answer with a flag
    (fails open), ABSTAIN an abstention with a flag.
    """

    REFUSE = "reject"
    PASS_FLAGGED = "pass_flagged"  # noqa: S105  # no password
    ABSTAIN = "abstain"


class FailureReason(StrEnum):
    """Why an answer is none of the gate's; stable codes beside those of decisions."""

    ABSTAINED = "GK300"
    PASSED = "GK310"
    UPSTREAM = "GK320"

    @property
    def text(self) -> str:
        """The reason as a sentence for people."""
        return _TEXT[self]


_TEXT = {
    FailureReason.ABSTAINED: "A part of the gate failed on this image: nothing is answered.",
    FailureReason.PASSED: (
        "A part of the gate failed on this image: the classifier's answer is passed on unjudged."
    ),
    FailureReason.UPSTREAM: (
        "The upstream classifier gave no answer on this image: nothing is answered."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An answer that the gate did not give.

    Attributes:
        action: ACCEPT where the classifier's answer is passed on, else ABSTAIN.
        reason: Which of the two.
        label: The classifier's answer, None where nothing is answered.
    """

    action: Action
    reason: FailureReason
    label: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """When a stage had an image, in monotonic seconds of the engine's clock.

    Attributes:
        stage: Which one.
        entered: It began to wait for the stage.
        began: Its batch was taken.
        ended: Its batch was done.
    """

    stage: Stage
    entered: float
    began: float
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAnswer:
    """What an engine answers for one image.

    Attributes:
        outcome: The gate's decision, or what the failure policy made of a failure.
        gear: Name of the gear that applied.
        degraded: What was not as it should be, such as ``"restore_failed"``; empty in order.
        probabilities: Softmax of the kept attempt's logits, shape (K,), uncalibrated; None where
            the gatekeeper does not tell.
        marks: Where its time went, in the order of the stages that it passed.
        image: The restored image, shape (3, H, W), where its answer is the one that is kept; None
            where that of the image as received is, or the gatekeeper does not tell.
        signals: Of the image as received, shape (D,); None where the gatekeeper does not tell.
    """

    outcome: Decision | Failure
    gear: str
    degraded: tuple[str, ...] = ()
    probabilities: FloatArray | None = None
    marks: tuple[Mark, ...] = ()
    image: Tensor | None = None
    signals: FloatArray | None = None


def failed(
    policy: FailurePolicy, what: str, *, error: Exception, label: int | None, gear: str
) -> EngineAnswer | StageError:
    """What is answered for an image on which a stage failed.

    Args:
        policy: Of that stage.
        what: What failed, such as ``"decide"``; the flag is ``"decide_failed"``.
        error: Why.
        label: The classifier's answer where it is known.
        gear: The gear of the moment.

    Returns:
        A flagged answer, or the error to raise: by policy, or because there is no answer to pass.
    """
    if policy is FailurePolicy.ABSTAIN:
        outcome = Failure(action=Action.ABSTAIN, reason=FailureReason.ABSTAINED, label=None)
    elif policy is FailurePolicy.PASS_FLAGGED and label is not None:
        outcome = Failure(action=Action.ACCEPT, reason=FailureReason.PASSED, label=label)
    elif isinstance(error, StageError):
        return error
    else:
        told = StageError(
            f"expected to {what} this image, met an error of the {what} stage: try again, and "
            "report it if it persists"
        )
        told.__cause__ = error
        return told
    return EngineAnswer(outcome=outcome, gear=gear, degraded=(f"{what}_failed",))
