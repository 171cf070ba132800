"""What the service answers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gatekeeper.decision import Action, Attempt
from gatekeeper.errors import GatekeeperError


class ServiceError(GatekeeperError):
    """The service refused.

    Args:
        message: The service's own sentence.
        status: HTTP status; 0 where the service did not answer at all.
        code: Stable code of the kind of error, such as ``"overloaded"``.
        reason: Stable code of what is wrong with an image, such as ``"truncated"``, or None.
        request_id: By which the service's log knows the request, "" where it is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        reason: str | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.reason = reason
        self.request_id = request_id


class UnreachableError(ServiceError):
    """The service did not answer, or what answered is no gatekeeper."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=0, code="unreachable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the service says about one image.

    Attributes:
        action: ACCEPT or ABSTAIN.
        label: Class index, None exactly when abstaining.
        class_name: Its name, None exactly when abstaining.
        reliability: Calibrated probability that the kept answer is right, in [0, 1].
        reason: Stable code, such as ``"GK100"``.
        reason_text: The reason as a sentence.
        attempts: The image as received first, then each restoration.
        symptoms: What is wrong with the image, worst first.
        certified: Whether the policy that decided holds a certificate.
        degraded: What was not as it should be; empty in order.
        bundle: Identity of the bundle that decided.
        decision_id: By which :meth:`Client.feedback` names it; "" where the service keeps none.
        request_id: Of the request.
        body: All of it, as the service said it.
    """

    action: Action
    label: int | None
    class_name: str | None
    reliability: float
    reason: str
    reason_text: str
    attempts: tuple[Attempt, ...]
    symptoms: tuple[str, ...]
    certified: bool
    degraded: tuple[str, ...]
    bundle: str
    decision_id: str
    request_id: str
    body: Mapping[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether there is a label to rely on; otherwise a person must look."""
        return self.action is Action.ACCEPT


def item_of(body: Mapping[str, Any], request_id: str) -> Answer | ServiceError:
    """One result of a batch."""
    decision = body.get("decision")
    if decision is not None:
        return answer_of(decision, request_id)
    error = body["error"]
    return ServiceError(
        str(error["message"]),
        status=int(HTTPStatus.OK),
        code=str(error["code"]),
        reason=error.get("reason"),
        request_id=request_id,
    )


def answer_of(body: Mapping[str, Any], request_id: str) -> Answer:
    """A decision."""
    return Answer(
        action=Action(body["action"]),
        label=body["label"],
        class_name=body["class_name"],
        reliability=float(body["reliability"]),
        reason=str(body["reason"]),
        reason_text=str(body["reason_text"]),
        attempts=tuple(
            Attempt(
                restorer=each["restorer"],
                label=each["label"],
                reliability=each["reliability"],
                action=Action(each["action"]),
            )
            for each in body["attempts"]
        ),
        symptoms=tuple(body["symptoms"]),
        certified=bool(body["certified"]),
        degraded=tuple(body["degraded"]),
        bundle=str(body["calibration_id"]),
        decision_id=str(body.get("decision_id") or ""),
        request_id=request_id,
        body=body,
    )
