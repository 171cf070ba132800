"""What the service answers, as it appears in /openapi.json and /docs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from gatekeeper.decision import Action, Reason
from gatekeeper.engine import FailureReason

# Finite by construction: NaN fails both bounds.
Probability = Annotated[float, Field(ge=0, le=1)]
Digest = Annotated[str, Field(description="Hexadecimal sha256.", pattern="^[0-9a-f]{64}$")]


class _Body(BaseModel):
    """No field is dropped or added in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AttemptBody(_Body):
    """One look at the image and what the gate made of it."""

    restorer: str | None = Field(
        description="Restorer that made the image of this attempt; null for the image as received."
    )
    label: int = Field(ge=0, description="Class index that the classifier answered.")
    class_name: str = Field(description="Name of that class.")
    reliability: Probability = Field(
        description="This attempt's calibrated probability of being right; the gate compares it."
    )
    action: Action = Field(
        description="accept: kept and met its threshold; restore: another attempt followed; "
        "abstain: otherwise."
    )


class ImageBody(_Body):
    """The image as decoded."""

    width: int = Field(ge=1, description="Pixels, after the EXIF orientation was applied.")
    height: int = Field(ge=1, description="Pixels, after the EXIF orientation was applied.")
    sha256: Digest = Field(description="Of the bytes received.")


class VersionsBody(_Body):
    """What decided."""

    gatekeeper: str = Field(description="Version of this software.")
    bundle: str = Field(description="sha256 of the bundle's manifest.")
    classifier: str = Field(description="Identity of the classifier.")
    version: str | None = Field(
        default=None, description="Version in the registry; null where a directory is served."
    )


class CertificateBody(_Body):
    """What is guaranteed about the policy of this bundle, on its declared conditions."""

    certified: bool = Field(description="Whether the policy holds a certificate.")
    target_risk: Probability = Field(
        description="Bound on the share of wrong answers among those accepted."
    )
    confidence_level: Probability = Field(
        description="Probability, over the data of the calibration, that the bound holds."
    )
    withdrawn: str | None = Field(
        default=None,
        description="Why labels of today's traffic speak against it, in which case certified is "
        "false; null while they do not.",
    )


class SampleBody(_Body):
    """The random sample of accepted answers; labels of these are wanted most."""

    drawn: bool = Field(description="Whether this answer is in it: please say what it truly shows.")
    probability: Probability = Field(description="With which accepted answers are drawn.")


class UpstreamBody(_Body):
    """What became of the image at the upstream classifier, in proxy mode."""

    outcome: Literal["answered", "failed", "abstained", "looked"] = Field(
        description="answered; failed: no answer; abstained: not forwarded; looked: the upstream "
        "is the classifier that was judged, so that its look is its answer."
    )
    sent: Literal["received", "restored"] | None = Field(
        default=None, description="Which image was forwarded; null where none was."
    )
    status: int | None = Field(default=None, description="The upstream's status.")
    body: JsonValue = Field(default=None, description="The upstream's answer, as it is.")


class DecisionBody(_Body):
    """The final word on one image, with its own evidence."""

    decision_id: str = Field(description="By which feedback names this decision.")
    action: Action = Field(description="accept or abstain.")
    reason: Reason | FailureReason = Field(
        description="Stable code; GK300 and above where a part of the gate failed."
    )
    reason_text: str = Field(description="The reason as a sentence.")
    label: int | None = Field(description="Class index; null exactly when abstaining.")
    class_name: str | None = Field(description="Name of that class; null when abstaining.")
    reliability: Probability = Field(
        description="Calibrated probability that the kept answer is right; 0 where a part of the "
        "gate failed and none is known."
    )
    attempts: list[AttemptBody] = Field(
        description="The image as received first, then each restoration; empty where a part of the "
        "gate failed."
    )
    policy: str = Field(description="Policy variant that decided, as in the certificate.")
    certified: bool = Field(description="Whether that variant holds a certificate.")
    model_id: str = Field(description="Identity of the classifier.")
    calibration_id: str = Field(description="Identity of the bundle.")
    symptoms: list[str] = Field(
        max_length=3,
        description="What is wrong with the image as received, worst first; decides nothing.",
    )
    gear: str = Field(description="Load gear that applied.")
    degraded: list[str] = Field(
        description="What was not as it should be, such as restore_failed; empty in order."
    )
    image: ImageBody
    upstream: UpstreamBody | None = Field(
        description="Null unless the service stands in front of a classifier."
    )
    sample: SampleBody | None = Field(
        description="Null for abstentions, and where no ledger is kept."
    )
    versions: VersionsBody
    certificate: CertificateBody
    duration_ms: float = Field(ge=0, description="From the last byte received to the decision.")


class HealthBody(_Body):
    """The process answers."""

    alive: bool = True


class ReadyBody(_Body):
    """A verified bundle is loaded and has decided a canary image."""

    ready: bool = True
    degraded: list[str] = Field(
        default=[], description="What is not as it should be, such as registry; empty in order."
    )
    versions: VersionsBody
    certificate: CertificateBody


class ErrorDetail(_Body):
    """Why there is no decision."""

    code: str = Field(description="Stable code of the kind of error.")
    message: str = Field(description="A sentence: expected, got, what to do.")
    reason: str | None = Field(
        default=None, description="Stable code of what is wrong with an image; only with 422."
    )
    request_id: str = Field(description="As in the header X-Request-ID.")


class ErrorBody(_Body):
    """The body of every answer that is not a success."""

    error: ErrorDetail


class BatchRequest(_Body):
    """Several image files."""

    images: list[str] = Field(min_length=1, description="Base64 of one still file each.")


class ItemBody(_Body):
    """What became of one image of a batch: exactly one of the two."""

    decision: DecisionBody | None = None
    error: ErrorDetail | None = None


class BatchBody(_Body):
    """One result per image, in order."""

    results: list[ItemBody]
