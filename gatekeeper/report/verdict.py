"""Page one in words: what is promised, what is not, and the numbers that matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatekeeper.metrics import exact_proportion_interval
from gatekeeper.report.content import ReportContent
from gatekeeper.report.numbers import percent, percent_range, short_percent, whole
from gatekeeper.report.tables import Cell, risk_of_accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One key number: its name, the number, and what it means."""

    name: str
    cell: Cell
    meaning: str


def sentence(content: ReportContent) -> str:
    """The verdict as one sentence that needs no glossary."""
    risk = short_percent(content.summary["target_risk"])
    level = short_percent(content.summary["confidence_level"])
    if content.summary["certified"]:
        return (
            f"Accepted answers are wrong at most {risk} of the time, at a confidence level of "
            f"{level}, for the declared traffic."
        )
    return (
        f"It could not be shown, at a confidence level of {level}, that accepted answers are "
        f"wrong at most {risk} of the time: {str(content.certificate['reason']).rstrip('.')}."
    )


def not_covered(content: ReportContent) -> tuple[str, ...]:
    """What nobody may read into the verdict, one sentence each."""
    return (
        _outside(content),
        *_flags(content.summary.get("flags") or {}),
        "A single image, class or corruption: the figure is an average over all accepted answers.",
        "Objects of none of the known classes, and images that were made to deceive.",
        "Another classifier, other weights or other preprocessing: each needs its own certificate.",
    )


def _outside(content: ReportContent) -> str:
    text = "Images from outside the declared conditions."
    block = content.streams.get("open")
    if block is None or block["selective_risk"] is None:
        return text
    names = ", ".join(name.replace("_", " ") for name in content.held_out)
    added = f"held-out families ({names})" if names else "held-out families"
    return (
        f"{text} In the open stream, which adds {added}, {percent(block['selective_risk'])} of "
        "the accepted answers were wrong."
    )


def _flags(flags: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(
        f"The stream “{stream.replace('_', ' ')}” was flagged as outside the certified "
        f"conditions: {str(flag['reason']).rstrip('.')}."
        for stream, flag in flags.items()
        if flag["flagged"]
    )


def tiles(content: ReportContent) -> tuple[Tile, ...]:
    """The key numbers, on declared traffic unless they say otherwise."""
    declared = content.streams["declared"]
    risk = risk_of_accepted(declared)
    # Without a certificate the last bound that was computed is nobody's promise.
    bound = content.certificate.get("upper_bound") if content.summary["certified"] else None
    return (
        Tile(
            name="Accepted",
            cell=_share(declared["coverage"]),
            meaning="of declared traffic gets an answer; the rest goes to a person",
        ),
        Tile(
            name="Wrong among accepted",
            cell=Cell(text=risk.text),
            meaning=f"exact 95\u00a0% interval {risk.note}" if risk.note else "nothing accepted",
        ),
        Tile(
            name="Accuracy with no gate",
            cell=_share(declared["accuracy_no_gate"]),
            meaning="if the classifier answered everything by itself",
        ),
        Tile(
            name="Restored",
            cell=_share(declared["restored_share"]),
            meaning="of images were restored and looked at again",
        ),
        _clean_harm(content),
        Tile(
            name="Certified bound",
            cell=_share(bound),
            meaning=(
                "upper bound on wrong among accepted, on the images kept for certification; "
                f"asked for: {short_percent(content.summary['target_risk'])}"
            ),
        ),
    )


def _clean_harm(content: ReportContent) -> Tile:
    clean = content.streams["clean"]
    meaning = "of clean images that were right end up wrong"
    if clean["harm"] is not None and clean["accuracy_no_gate"] is not None:
        n_right = round(clean["n"] * clean["accuracy_no_gate"])
        if 0 <= clean["harm"] <= n_right and n_right:
            ends = percent_range(*exact_proportion_interval(clean["harm"], n_right))
            meaning += f": {whole(clean['harm'])} of {whole(n_right)}, exact 95\u00a0% {ends}"
    return Tile(name="Clean harm", cell=_share(content.summary["clean_harm_rate"]), meaning=meaning)


def _share(value: float | None) -> Cell:
    return Cell(text=None if value is None else percent(value))
