"""What gatekeeper says about one image: actions, stable reason codes, attempts, decisions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from gatekeeper.errors import InputError


class Action(StrEnum):
    """What to do with an answer; RESTORE is a step on the way, never the end."""

    ACCEPT = "accept"
    RESTORE = "restore"
    ABSTAIN = "abstain"


class Reason(StrEnum):
    """Why a decision ended as it did; codes are stable and never renumbered."""

    ACCEPTED_RAW = "GK100"
    ACCEPTED_AFTER_RESTORATION = "GK110"
    NO_RESTORER = "GK200"
    RESTORATION_NOT_BETTER = "GK210"
    STILL_UNRELIABLE = "GK220"
    RESTORATION_WITHHELD = "GK230"
    RESTORATION_FAILED = "GK240"

    @property
    def text(self) -> str:
        """The reason as a sentence for people."""
        return _TEXT[self]


_TEXT = {
    Reason.ACCEPTED_RAW: "The answer on the image as received is reliable enough.",
    Reason.ACCEPTED_AFTER_RESTORATION: "The answer on the restored image is reliable enough.",
    Reason.NO_RESTORER: "The answer is doubtful and no restorer fits this image.",
    Reason.RESTORATION_NOT_BETTER: (
        "The answer is doubtful and restoration did not raise its reliability by the switch margin."
    ),
    Reason.STILL_UNRELIABLE: "The answer is still doubtful after restoration.",
    Reason.RESTORATION_WITHHELD: (
        "The answer is doubtful; a restorer fits this image and was withheld because of the load."
    ),
    Reason.RESTORATION_FAILED: "The answer is doubtful and its restoration failed.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One look at an image and what the gate made of it.

    Attributes:
        restorer: Name of the restorer that made the image of this attempt; None for the raw image.
        label: Class index that the classifier answered, in 0…K−1.
        reliability: This attempt's calibrated P(correct), in [0, 1]; the gate compares this number.
        action: ACCEPT if this attempt was kept and met its threshold, RESTORE if another attempt
            followed, ABSTAIN otherwise.
    """

    restorer: str | None
    label: int
    reliability: float
    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The final word on one image, with its own evidence.

    Attributes:
        action: ACCEPT or ABSTAIN.
        reason: Stable code; ``reason.text`` is the sentence.
        label: Class index, None exactly when abstaining.
        reliability: Final calibrated P(correct) of the kept attempt, in [0, 1] (the *final*
            calibrator's number; it never changes an action).
        attempts: The raw look first, then each restoration.
        policy: Name of the policy variant that decided, as in the certificate.
        certified: Whether that policy variant holds a certificate.
        model_id: Identity of the classifier.
        calibration_id: Identity of the bundle (sha256 of its manifest).
        symptoms: What is wrong with the image as received, for people, worst first; at most three,
            such as ``"noise, sigma about 0.12"``. They explain and decide nothing.

    Raises:
        InputError: the label is None without abstaining or the other way round, or the action
            is RESTORE, or there is no attempt.
    """

    action: Action
    reason: Reason
    label: int | None
    reliability: float
    attempts: tuple[Attempt, ...]
    policy: str
    certified: bool
    model_id: str
    calibration_id: str
    symptoms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse decisions that contradict themselves."""
        if self.action is Action.RESTORE or not self.attempts:
            raise InputError("a decision accepts or abstains and has at least one attempt")
        if (self.label is None) != (self.action is Action.ABSTAIN):
            raise InputError(
                f"label must be None exactly when abstaining, got action={self.action.value} "
                f"label={self.label}"
            )

    def to_json(self, class_names: tuple[str, ...] | None = None) -> dict[str, Any]:
        """The decision as JSON-ready data; class names are added where they are given."""
        # Not asdict, which copies deeply: this is on the path of every request.
        body: dict[str, Any] = {name: getattr(self, name) for name in _FIELDS}
        body["attempts"] = tuple(
            {name: getattr(attempt, name) for name in _FIELDS_OF_ATTEMPT}
            for attempt in self.attempts
        )
        body["reason"] = self.reason.value
        body["reason_text"] = self.reason.text
        if class_names is not None:
            body["class_name"] = None if self.label is None else class_names[self.label]
            for attempt in body["attempts"]:
                attempt["class_name"] = class_names[attempt["label"]]
        return body


_FIELDS = tuple(field.name for field in fields(Decision))
_FIELDS_OF_ATTEMPT = tuple(field.name for field in fields(Attempt))
