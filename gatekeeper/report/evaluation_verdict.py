"""Page one of an evaluation in words: verdict, requirements, what was certified, what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatekeeper.evaluation import Evaluation, Measured
from gatekeeper.report.numbers import decimal, percent, percent_range, short_percent, whole
from gatekeeper.report.tables import Cell
from gatekeeper.report.verdict import Tile

SCOPE_TITLES = {
    "clean": "clean images",
    "declared": "declared traffic",
    "seen": "seen families",
    "held_out": "held-out families",
    "all": "all corruptions",
}

REQUIREMENT_TITLES = {
    "min_coverage": "Accepted, at least",
    "max_risk": "Wrong among accepted, at most",
    "max_harm": "Right answers turned wrong, of all, at most",
    "min_help_harm": "Answers turned right per answer turned wrong, at least",
    "max_clean_harm": "Right answers to clean images turned wrong, at most",
    "min_accuracy": "Accuracy if nothing abstained, at least",
    "min_coverage_at_risk": "Coverage at the target risk (with hindsight), at least",
    "min_failure_auroc": "Failure AUROC, at least",
    "max_aurc": "AURC, at most",
    "max_augrc": "AUGRC, at most",
    "max_ece": "Calibration error (ECE), at most",
    "max_brier": "Brier score, at most",
    "max_mce": "Mean corruption error, at most",
    "max_relative_mce": "Relative mean corruption error, at most",
}
_SHARES = (
    *("min_coverage", "max_risk", "max_harm", "max_clean_harm", "min_accuracy"),
    "min_coverage_at_risk",
)
_OUTCOMES = {
    "kept": "The certificate was kept",
    "not contradicted": "The certificate is not contradicted",
    "exceeded": "THE CERTIFICATE WAS EXCEEDED",
    "not certified": "The gate holds no certificate",
    "nothing accepted": "Nothing was accepted",
    "not tested": "The certificate was not tested: its declared traffic was not evaluated",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementRow:
    """One requirement as the page shows it."""

    title: str
    scope: str
    limit: str
    value: Cell
    judged: Cell
    met: bool


def banner(record: Mapping[str, Any]) -> tuple[str, str]:
    """The style of the banner and its one sentence."""
    name, required = record["candidate"], record["requirements"]
    n_met = sum(each["met"] for each in required)
    if record["verdict"] == "NOT JUDGED":
        return "open", f"{name} was measured, and nothing was required of it."
    if record["verdict"] == "PASS":
        noun = "the stated requirement" if n_met == 1 else f"all {n_met} stated requirements"
        return "good", f"{name} meets {noun} on these images."
    n_missed = len(required) - n_met
    return "bad", f"{name} misses {n_missed} of {len(required)} stated requirements."


def requirement_rows(record: Mapping[str, Any]) -> tuple[RequirementRow, ...]:
    """What was required, what was measured, and which end of its interval was judged."""
    rows = []
    for each in record["requirements"]:
        form = percent if each["requirement"] in _SHARES else decimal
        limit = short_percent if form is percent else _plain
        rows.append(
            RequirementRow(
                title=REQUIREMENT_TITLES[each["requirement"]],
                scope=SCOPE_TITLES[each["scope"]],
                limit=limit(each["limit"]),
                value=Cell(text=None if each["value"] is None else form(each["value"])),
                judged=Cell(
                    text=None if each["judged"] is None else form(each["judged"]),
                    note=each["reason"],
                ),
                met=each["met"],
            )
        )
    return tuple(rows)


def _plain(value: float) -> str:
    return f"{value:.6g}"


def certificate_lines(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What each gate was certified for, and what its declared traffic showed here."""
    lines: list[str] = []
    for model in record["models"]:
        check = model["certificate"]
        if check is None:
            continue
        name = model["name"]
        risk, level = short_percent(check["target_risk"]), short_percent(check["confidence_level"])
        if check["certified"]:
            lines.append(
                f"{name}: accepted answers wrong at most {risk} of the time, at a confidence level "
                f"of {level}. {'; '.join(check['conditions'])}."
            )
        lines.append(f"{name}: {_outcome(check)}.")
    return tuple(lines) or ("Nothing: no gate was evaluated, so no answer is held back.",)


def _outcome(check: Mapping[str, Any]) -> str:
    text = _OUTCOMES[check["outcome"]]
    if check.get("risk") is None:
        return text
    return (
        f"{text}: on the declared traffic, each image once, {whole(check['n_wrong'])} of "
        f"{whole(check['n_accepted'])} accepted answers were wrong ({percent(check['risk'])}; "
        f"exact 95\u00a0% interval {percent_range(check['low'], check['high'])})"
    )


def data_lines(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What was shown to the models."""
    data, conditions = record["data"], record["conditions"]
    names = list(dict.fromkeys(name for name, _ in conditions if name))
    severities = sorted({severity for _, severity in conditions if severity})
    height, width = data["image_size"]
    lines = [
        f"{whole(data['n_images'])} images of {data['name']}, {height}×{width} px.",
        f"Chosen: {data['which']}.",
        f"Every image clean and under each of {len(names)} corruptions at severity "
        f"{', '.join(map(str, severities))}: {whole(data['n_images'] * len(conditions))} looks.",
        f"Licence of the data: {data['licence']}.",
    ]
    if record["held_out"]:
        lines.append(
            "Nothing was fitted on the held-out families: "
            f"{', '.join(name.replace('_', ' ') for name in record['held_out'])}."
        )
    return tuple(lines)


def not_covered_lines(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What nobody may read into the verdict."""
    lines = [
        "Any corruption, camera or subject that is not listed: real images degrade in other ways.",
        "A single image or class: every figure is an average over many answers.",
        "Objects of none of the known classes, and images that were made to deceive.",
        "Another classifier, other weights or other preprocessing.",
    ]
    if record["held_out"]:
        lines.insert(
            0,
            "The certificate does not speak of the held-out families; their figures are "
            "measurements, not promises.",
        )
    if "not known" in record["data"]["which"]:
        lines.insert(0, "Whether the models have seen these images in training is not known.")
    return tuple(lines)


def evaluation_tiles(evaluation: Evaluation) -> tuple[Tile, ...]:
    """The key numbers of the candidate."""
    subject = evaluation.subjects[0]
    if subject.fitted is None:
        return (
            _tile(evaluation, "Accuracy, clean", "msp", "clean", "accuracy", "of all answers"),
            _tile(evaluation, "Accuracy, corrupted", "msp", "all", "accuracy", "of all answers"),
            _tile(
                evaluation,
                "Coverage at target risk",
                "msp",
                "all",
                "coverage_at_risk",
                f"could be accepted at a risk of {short_percent(evaluation.target_risk)}, with "
                "hindsight",
            ),
        )
    scope = "clean" if evaluation.stream is None else "declared"
    of = SCOPE_TITLES[scope]
    return (
        _tile(evaluation, "Accepted", "policy", scope, "coverage", f"of {of}"),
        _tile(evaluation, "Wrong among accepted", "policy", scope, "risk", f"of {of}"),
        _tile(evaluation, "Accuracy with no gate", "msp", scope, "accuracy", f"of {of}"),
        _tile(
            evaluation,
            "Wrong among accepted, all corruptions",
            "policy",
            "all",
            "risk",
            "outside the certificate",
        ),
        _tile(
            evaluation,
            "Accepted, all corruptions",
            "policy",
            "all",
            "coverage",
            "outside the certificate",
        ),
        _tile(
            evaluation,
            "Clean harm",
            "policy",
            "clean",
            "clean_harm_rate",
            "of right answers to clean images end up wrong",
        ),
    )


def _tile(
    evaluation: Evaluation, name: str, method: str, scope: str, metric: str, meaning: str
) -> Tile:
    row = evaluation.figure(evaluation.subjects[0].name, method, scope, metric)
    if row is None or row.value is None:
        return Tile(name=name, cell=Cell(text=None), meaning=meaning)
    ends = interval_of(row, percent_range)
    return Tile(
        name=name,
        cell=Cell(text=percent(row.value)),
        meaning=f"{meaning}; 95\u00a0% interval {ends}" if ends else meaning,
    )


def interval_of(row: Measured, form: Any) -> str:  # noqa: ANN401  # (float, float) -> str
    """Both ends of a figure's interval as text; "" where it has none."""
    if row.low is None or row.high is None:
        return ""
    text: str = form(row.low, row.high)
    return text


def model_kinds(record: Mapping[str, Any]) -> Sequence[str]:
    """One line per model: what it is and where it came from."""
    return [
        f"{model['name']}: {model['kind']} {model['model_id']} from {model['source']}"
        for model in record["models"]
    ]
