"""Champion against challenger as one offline HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from gatekeeper.report.numbers import UNIT_SPACE, any_value, decimal, percent, whole

_NONE = "–"
_PERCENT_ROWS = {
    "accuracy_raw": "Right without a gate",
    "accuracy": "Right, final answers before abstention",
    "coverage": "Accepted",
    "accepted_risk": "Wrong among the accepted",
    "restored_share": "Went through a restorer",
    "certified_coverage": "Certified coverage",
}


def render_adaptation(record: Mapping[str, Any]) -> str:
    """The page; the same record gives the same text.

    Args:
        record: As ``adaptation.json`` has it.

    Returns:
        A complete page with inline CSS; all text in it is escaped.
    """
    environment = Environment(
        # The look is that of all pages of the house.
        loader=ChoiceLoader(
            [PackageLoader("gatekeeper.adaptation"), PackageLoader("gatekeeper.report")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("adaptation.html.j2").render(_view(record))


def _view(record: Mapping[str, Any]) -> dict[str, Any]:
    duel = record["contest"]["paired"]
    return {
        "good": record["rule_met"],
        "heading": "✓ The challenger meets the rule"
        if record["rule_met"]
        else "✕ The challenger does not meet the rule",
        "sentence": (
            f"On {whole(duel['n'])} images ({record['contest']['images']}) the challenger alone is "
            f"right on {whole(duel['better'])}, the champion alone on {whole(duel['worse'])}."
        ),
        "certificate": _certificate(record),
        "figures": _figures(record["contest"]),
        "paired": [
            ("Difference of accuracy", _points(duel["difference"])),
            (f"Lower bound at {percent(duel['confidence_level'])}", _points(duel["low"])),
            ("Upper bound of the share that is worse", percent(duel["harm_bound"])),
            ("Exact McNemar, two-sided p", decimal(duel["p_value"], 4)),
        ],
        "conditions": [
            ("met" if c["passed"] else "not met", c["name"], f"{c['value']:.4g}", f"{c['limit']:g}")
            for c in record["conditions"]
        ],
        "rechecks": [
            (name, whole(check["n"]), percent(check["stated"]), percent(check["right"]))
            for name, check in record["recheck"].items()
            if check is not None
        ],
        "facts": [(key, any_value(value)) for key, value in record["lineage"].items()],
    }


def _certificate(record: Mapping[str, Any]) -> list[str]:
    held = record["certificate"]
    first = (
        f"The challenger is certified: accepted answers are wrong at most "
        f"{percent(held['target_risk'])} of the time, at {percent(held['confidence_level'])} "
        f"confidence. It speaks of: {'; '.join(held['conditions'])}."
        if held["certified"]
        else f"The challenger holds no certificate. {held['reason']}"
    )
    captured = held["captured"]
    if captured is None:
        return [first]
    said = captured["reason"] or (
        f"{captured['n_wrong']} wrong of {captured['n_accepted']} {captured['population']}, at "
        f"most {percent(captured['upper_bound'])}."
    )
    return [first, f"About the captured traffic: {said}"]


def _figures(contest: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    sides = [contest["champion"], contest["challenger"]]
    rows = [
        (name, *(_NONE if side[key] is None else percent(side[key]) for side in sides))
        for key, name in _PERCENT_ROWS.items()
    ]
    auroc = [side["failure_auroc"] for side in sides]
    rows.insert(2, ("Failure AUROC", *(_NONE if a is None else decimal(a) for a in auroc)))
    rows.append(
        ("Help : harm of restoration", *(f"{side['help']} : {side['harm']}" for side in sides))
    )
    return [(str(name), str(one), str(other)) for name, one, other in rows]


def _points(difference: float) -> str:
    return f"{100.0 * difference:+.2f}{UNIT_SPACE}points"
