"""What feedback takes and answers, and what the admin port tells about versions and monitors."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gatekeeper.decision import Action
from gatekeeper.service.schemas import CertificateBody, Probability, VersionsBody

Id = Annotated[str, Field(min_length=1, max_length=256)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FeedbackRequest(_Body):
    """The true label of one decision, which is named by exactly one of the two ids."""

    decision_id: Id | None = Field(default=None, description="As in the decision.")
    request_id: Id | None = Field(
        default=None, description="As in X-Request-ID, where the request was about one image."
    )
    label: int = Field(ge=0, le=2**31, description="Class index that the image truly shows.")
    reviewer: str = Field(default="", max_length=64, description="Who says so.")

    @model_validator(mode="after")
    def _check(self) -> FeedbackRequest:
        if (self.decision_id is None) == (self.request_id is None):
            raise ValueError("one of decision_id and request_id")
        return self


class FeedbackBody(_Body):
    """What became of the label."""

    decision_id: str
    bundle: str = Field(description="Identity of the bundle that decided.")
    action: Action = Field(description="accept or abstain.")
    label: int = Field(description="The label as it is kept.")
    right: bool | None = Field(
        description="Whether the kept answer was right; null where there is none."
    )
    repeated: bool = Field(description="Whether this label was known already: nothing changed.")
    counted: bool = Field(
        description="Whether it says something about the certified risk: only labels of accepted "
        "answers of the random sample do."
    )


class EstimateBody(_Body):
    """An estimate without labels, with its interval."""

    value: Probability
    low: Probability
    high: Probability
    n_images: int


class TrafficTestBody(_Body):
    """What the last whole window of traffic says, without labels."""

    n_windows: int
    n_flagged: int
    window: int = Field(description="Images per window.")
    p_value: Probability | None
    flagged: bool
    accuracy: EstimateBody | None
    accepted_risk: EstimateBody | None


class RiskBody(_Body):
    """What labels say about the certified risk."""

    e_value: float = Field(ge=0)
    threshold: float = Field(description="The e-value that withdraws the certificate.")
    withdrawn: bool
    withdrawn_at: int | None
    n_labels: int
    n_wrong: int
    n_others: int = Field(description="Labels that do not count.")
    reason: str


class MonitorBody(_Body):
    """The certificate of what decides, and what speaks for and against it."""

    versions: VersionsBody
    certificate: CertificateBody
    degraded: list[str]
    sampling_share: Probability | None = Field(
        description="Probability with which accepted answers are drawn; null without a ledger."
    )
    risk: RiskBody | None
    traffic: TrafficTestBody | None


class VersionBody(_Body):
    """One version of the registry."""

    version: int
    uri: str
    bundle: str
    aliases: list[str]
    certified: bool | None = Field(description="Null where nobody looked yet.")
    golden: str | None = Field(description="passed or failed; null where nobody looked yet.")
    created_ms: int
    served: bool
    refused: str | None = Field(description="Why the service does not take it; null otherwise.")


class RegistryBody(_Body):
    """The registry as the service sees it."""

    model: str | None = Field(description="Null where a directory is served.")
    alias: str | None
    served: str | None
    up: bool
    problem: str | None = Field(description="Why it is not up.")
    refused: str | None = Field(description="Why the version behind the alias is not served.")
    on_probation: bool = Field(description="Whether the served version may still be undone.")
    versions: list[VersionBody]


class PromoteRequest(_Body):
    """Which version becomes the champion."""

    version: int = Field(ge=1, le=2**31)


class RollBackRequest(_Body):
    """Nothing: the former champion becomes the champion again."""
