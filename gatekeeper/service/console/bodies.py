"""What the console's own endpoints take and answer."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gatekeeper.service.schemas import CertificateBody, DecisionBody, VersionsBody

Share = Annotated[float, Field(ge=0, le=1)]
Severity = Annotated[int, Field(ge=1, le=5)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrialRequest(_Body):
    """An image and what is to be done to it."""

    image: str | None = Field(default=None, description="Base64 of a still JPEG, PNG or WebP.")
    sample: int | None = Field(default=None, ge=0, description="Or the number of a sample.")
    corruption: str | None = Field(default=None, description="Name; null leaves the image alone.")
    severity: Severity | None = Field(default=None, description="Needed with a corruption.")

    @model_validator(mode="after")
    def _check(self) -> TrialRequest:
        if (self.image is None) == (self.sample is None):
            raise ValueError("one of image and sample")
        if self.corruption is None and self.severity is not None:
            raise ValueError("a severity is that of a corruption")
        return self


class TimingBody(_Body):
    """Where a part of the time went."""

    part: str
    ms: float = Field(ge=0)


class TrialBody(_Body):
    """A decision with the pictures that belong to it, all as data URIs of PNGs."""

    decision: DecisionBody
    original: str = Field(description="The image at the gate's size, before any corruption.")
    received: str = Field(description="What the gate was given.")
    restored: list[str | None] = Field(
        description="One per attempt: what it looked at, null for the image as received."
    )
    timings: list[TimingBody]


class SweepPointBody(_Body):
    """The decision at one severity."""

    severity: Severity | None = Field(description="Null: without corruption.")
    action: str
    reason: str
    class_name: str | None
    restorer: str | None = Field(description="Of the last attempt.")
    raw_reliability: Share
    reliability: Share


class SweepBody(_Body):
    """One corruption at every severity."""

    points: list[SweepPointBody]


class CorruptionBody(_Body):
    """One entry of the list."""

    name: str
    title: str


class CorruptionGroupBody(_Body):
    """Corruptions of one kind."""

    group: str
    corruptions: list[CorruptionBody]


class SetupBody(_Body):
    """What the page must know before anything is tried."""

    versions: VersionsBody
    certificate: CertificateBody
    facts: dict[str, Any] = Field(description="The certificate as it is in the bundle.")
    class_names: list[str]
    image_size: tuple[int, int]
    accept_raw_at: Share | None
    accept_restored_at: Share | None
    samples: list[str] = Field(description="Data URIs of PNGs.")
    corruptions: list[CorruptionGroupBody]
    reports: list[str] = Field(description="Names of the pages beside the bundle.")
    reviews: bool = Field(description="Whether images are kept for review.")


class PointBody(_Body):
    """What happened between two looks at the counters."""

    at: float = Field(description="Seconds since 1970, when it ended.")
    seconds: float = Field(gt=0)
    accepted: float = Field(ge=0)
    abstained: float = Field(ge=0)
    shed: float = Field(ge=0)
    errors: float = Field(ge=0)
    mean_reliability: Share | None
    mean_ms: float | None = Field(ge=0)


class TrafficBody(_Body):
    """Live traffic."""

    every_s: float
    points: list[PointBody]
    gear: str
    restored_share: Share
    waiting: dict[str, int]
    in_flight: int = Field(ge=0)
    engines_lost: float = Field(ge=0)
