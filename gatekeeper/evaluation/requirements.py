"""Stated requirements (TOML) and what an evaluation makes of them: PASS or FAIL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gatekeeper.errors import InputError, RecipeError
from gatekeeper.evaluation.answers import Subject
from gatekeeper.evaluation.robustness import Evaluation, Measured
from gatekeeper.recipe import Share, checked, read_toml

_Positive = Annotated[float, Field(ge=0.0)]

# Requirement -> (metric, whether only a gate has it, end of the interval that is judged).
_METRIC_OF = {
    "min_coverage": ("coverage", True, "low"),
    "max_risk": ("risk", True, "high"),
    "max_harm": ("harm", True, "high"),
    "min_help_harm": ("help_harm", True, "value"),
    "max_clean_harm": ("clean_harm_rate", True, "high"),
    "min_accuracy": ("accuracy", False, "low"),
    "min_coverage_at_risk": ("coverage_at_risk", False, "low"),
    "min_failure_auroc": ("failure_auroc", False, "low"),
    "max_aurc": ("aurc", False, "high"),
    "max_augrc": ("augrc", False, "high"),
    "max_ece": ("ece", False, "high"),
    "max_brier": ("brier", False, "high"),
    "max_mce": ("mce", False, "high"),
    "max_relative_mce": ("relative_mce", False, "high"),
}


class Limits(BaseModel):
    """What is required on one scope; every metric is defined in ``measure``.

    Attributes:
        min_coverage: Share accepted.
        max_risk: Wrong among accepted.
        max_harm: Right answers that the policy turned wrong, of all.
        min_help_harm: Answers turned right per answer turned wrong; judged by its value.
        min_accuracy: Of the final answers, if nothing abstained.
        min_coverage_at_risk: Coverage at the target risk, with hindsight.
        min_failure_auroc: Of the score that orders the answers.
        max_aurc: Likewise.
        max_augrc: Likewise.
        max_ece: Of the stated reliability.
        max_brier: Likewise.
        max_mce: Mean corruption error against the reference, a fraction.
        max_relative_mce: The relative one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_coverage: Share | None = None
    max_risk: Share | None = None
    max_harm: Share | None = None
    min_help_harm: _Positive | None = None
    min_accuracy: Share | None = None
    min_coverage_at_risk: Share | None = None
    min_failure_auroc: Share | None = None
    max_aurc: Share | None = None
    max_augrc: Share | None = None
    max_ece: Share | None = None
    max_brier: Share | None = None
    max_mce: _Positive | None = None
    max_relative_mce: float | None = None

    def given(self) -> dict[str, float]:
        """The limits that are set."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class CleanLimits(Limits):
    """What is required on clean images.

    Attributes:
        max_clean_harm: Right answers that the policy turned wrong, of the right ones.
    """

    max_clean_harm: Share | None = None


class Requirements(Limits):
    """A requirements file: limits on one scope, and tables of limits on others.

    Attributes:
        scope: Where the limits at the top of the file hold.
        judged: ``interval``: the pessimistic end of the 95 % interval must meet the limit;
            ``value``: the measured value must.
        clean: On clean images.
        declared: On the certificate's traffic, each image once.
        seen: On corruptions of families that were fitted on.
        held_out: On the others.
        all: On all corruptions.

    Raises:
        InputError: nothing is required.
    """

    scope: Literal["clean", "declared", "seen", "held_out", "all"] = "all"
    judged: Literal["interval", "value"] = "interval"
    clean: CleanLimits = CleanLimits()
    declared: Limits = Limits()
    seen: Limits = Limits()
    held_out: Limits = Limits()
    all: Limits = Limits()

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not list(self.each()):
            raise InputError("at least one limit must be required, such as max_risk = 0.05")
        return self

    def each(self) -> Iterator[tuple[str, str, float]]:
        """(scope, requirement, limit) of all that is required."""
        for name in sorted(_METRIC_OF):
            limit = getattr(self, name, None)
            if limit is not None:
                yield self.scope, name, float(limit)
        for scope in ("clean", "declared", "seen", "held_out", "all"):
            limits: Limits = getattr(self, scope)
            for name, value in limits.given().items():
                yield scope, name, float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One requirement and whether it is met.

    Attributes:
        requirement: Its name in the file.
        scope: Where it holds.
        limit: What is required.
        value: What was measured; None where it is not defined.
        judged: The number that was compared with the limit; None likewise.
        met: Whether it is; what cannot be judged is not met.
        reason: Why not, where it could not be judged; else "".
    """

    requirement: str
    scope: str
    limit: float
    value: float | None
    judged: float | None
    met: bool
    reason: str


def load_requirements(path: Path) -> Requirements:
    """Read a requirements file.

    Raises:
        RecipeError: it is missing, no TOML, has an unknown key or a value out of range, or requires
            nothing.
    """
    return checked(Requirements, read_toml(path, "requirements"), source=str(path))


def judge_requirements(evaluation: Evaluation, requirements: Requirements) -> list[Judgement]:
    """Hold the candidate, which is the first subject, against what is required.

    Args:
        evaluation: What was measured.
        requirements: What is required.

    Returns:
        One judgement per requirement; the verdict is PASS if all are met.

    Raises:
        RecipeError: something is required that only a gate has, and the candidate has none; or a
            corruption error without a reference.
    """
    check_judgeable(requirements, evaluation.subjects[0], has_reference=bool(evaluation.reference))
    return [
        _judge(evaluation, requirements.judged, scope, name, limit)
        for scope, name, limit in requirements.each()
    ]


def check_judgeable(requirements: Requirements, candidate: Subject, *, has_reference: bool) -> None:
    """Refuse what no evaluation of this candidate could show, before anything is looked at.

    Args:
        requirements: What is required.
        candidate: The subject that is judged.
        has_reference: Whether corruption errors will be divided by those of a reference.

    Raises:
        RecipeError: something is required that only a gate has, and the candidate has none; or a
            corruption error without a reference.
    """
    for _, name, _ in requirements.each():
        metric, needs_gate, _ = _METRIC_OF[name]
        if needs_gate and candidate.fitted is None:
            raise RecipeError(
                f"{name} is required of {candidate.name}, which is a classifier without a gate: "
                "leave it out, or evaluate a bundle"
            )
        if metric.endswith("mce") and not has_reference:
            raise RecipeError(f"{name} is required, but there is no reference: give --reference")


def _judge(evaluation: Evaluation, judged: str, scope: str, name: str, limit: float) -> Judgement:
    metric, _, end = _METRIC_OF[name]
    candidate = evaluation.subjects[0]
    method = "msp" if candidate.fitted is None else "policy"
    found = evaluation.figure(candidate.name, method, scope, metric)
    number = None if found is None else _number(found, "value" if judged == "value" else end)
    met, reason = False, ""
    if found is None:
        reason = "this scope was not evaluated"
    elif number is not None:
        met = number >= limit if name.startswith("min") else number <= limit
    elif metric == "help_harm":
        met, reason = _helped(evaluation, scope), "nothing was harmed"
    else:
        reason = "not defined on these images"
    return Judgement(
        requirement=name,
        scope=scope,
        limit=limit,
        value=None if found is None else found.value,
        judged=number,
        met=met,
        reason=reason,
    )


def _number(found: Measured, end: str) -> float | None:
    number: float | None = getattr(found, end) if found.value is not None else None
    return found.value if number is None else number


def _helped(evaluation: Evaluation, scope: str) -> bool:
    """Whether a policy that harmed nothing helped anything: then any ratio is exceeded."""
    found = evaluation.figure(evaluation.subjects[0].name, "policy", scope, "help")
    return found is not None and bool(found.value)
