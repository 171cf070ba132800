"""Engine's answers to the bodies that go over the wire."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

from gatekeeper import __version__
from gatekeeper.decision import Decision
from gatekeeper.engine import EngineAnswer, Failure
from gatekeeper.errors import BundleError
from gatekeeper.service.schemas import CertificateBody, DecisionBody, ImageBody, VersionsBody
from gatekeeper.service.served import ServedGatekeeper


@dataclass(frozen=True, slots=True)
class Loaded:
    """A gatekeeper with what every answer says about it.

    Attributes:
        gatekeeper: Decides.
        class_names: Length K.
        versions: What decides.
        certificate: What is guaranteed about it.
        degraded: What is not as it should be about its choice, such as ``"registry"``.
    """

    gatekeeper: ServedGatekeeper
    class_names: tuple[str, ...]
    versions: VersionsBody
    certificate: CertificateBody
    degraded: tuple[str, ...] = ()

    def body(self, answer: EngineAnswer, image: ImageBody, seconds: float) -> DecisionBody:
        """The body of an answer."""
        outcome = answer.outcome
        if isinstance(outcome, Decision):
            decided = outcome.to_json(self.class_names)
        else:
            decided = self._failure(outcome)
        if self.certificate.withdrawn is not None:
            decided["certified"] = False
        return DecisionBody(
            decision_id=uuid.uuid4().hex,
            **decided,
            gear=answer.gear,
            degraded=[*answer.degraded, *self.degraded],
            image=image,
            upstream=None,
            sample=None,
            versions=self.versions,
            certificate=self.certificate,
            duration_ms=round(seconds * 1000, 3),
        )

    def withdrawn(self, reason: str) -> Loaded:
        """The same, with its certificate withdrawn."""
        certificate = self.certificate.model_copy(update={"certified": False, "withdrawn": reason})
        return replace(self, certificate=certificate)

    def _failure(self, failure: Failure) -> dict[str, Any]:
        return {
            "action": failure.action,
            "reason": failure.reason,
            "reason_text": failure.reason.text,
            "label": failure.label,
            "class_name": None if failure.label is None else self.class_names[failure.label],
            "reliability": 0.0,
            "attempts": [],
            "policy": "failure",
            "certified": False,
            "model_id": self.versions.classifier,
            "calibration_id": self.versions.bundle,
            "symptoms": [],
        }


def describe_loaded(
    gatekeeper: ServedGatekeeper, *, version: str | None = None, degraded: tuple[str, ...] = ()
) -> Loaded:
    """What every answer says about a gatekeeper.

    Args:
        gatekeeper: Decides.
        version: Its version in the registry, if it came from there.
        degraded: What is not as it should be about its choice.

    Raises:
        BundleError: its certificate lacks figures.
    """
    wanted = tuple(name for name in CertificateBody.model_fields if name != "withdrawn")
    missing = [key for key in wanted if key not in gatekeeper.certificate]
    if missing:
        raise BundleError(
            f"expected a certificate with {', '.join(wanted)}, got none of {', '.join(missing)}: "
            "fit the bundle again"
        )
    return Loaded(
        gatekeeper=gatekeeper,
        class_names=tuple(gatekeeper.class_names),
        versions=VersionsBody(
            gatekeeper=__version__,
            bundle=gatekeeper.calibration_id,
            classifier=gatekeeper.model_id,
            version=version,
        ),
        certificate=CertificateBody(**{key: gatekeeper.certificate[key] for key in wanted}),
        degraded=degraded,
    )


def audit_fields(body: DecisionBody) -> dict[str, Any]:
    """What goes on record about a decision: hashes, numbers and versions, and no pixels."""
    kept = (
        "decision_id",
        "sample",
        "action",
        "reason",
        "label",
        "reliability",
        "policy",
        "certified",
        "gear",
        "degraded",
    )
    whole = body.model_dump(mode="json")
    attempts = [
        {key: each[key] for key in ("restorer", "label", "reliability", "action")}
        for each in whole["attempts"]
    ]
    return {
        **{key: whole[key] for key in kept},
        "attempts": attempts,
        "image": whole["image"],
        "versions": whole["versions"],
        "duration_ms": whole["duration_ms"],
    }
