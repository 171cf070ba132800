"""What the report of a gate says of its arbiter: which restorers are tried, at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.report.numbers import any_value, percent, whole
from gatekeeper.report.tables import Cell, Row

ARBITRATION_COLUMNS = (
    "Declared cost",
    "Tried from an expected gain of",
    "Looks learned from",
    "Would be tried on",
    "Helped : harmed",
    "Calibrator",
)


def arbitration_view(certificate: Mapping[str, Any]) -> dict[str, Any] | None:
    """Sentences and rows of the arbiter; None where the certificate tells of none.

    Args:
        certificate: Its ``arbitration`` is what fitting says of the arbiter: costs and limits, what
            cross-fitting showed of each restorer, and the calibrator of each.

    Returns:
        ``sentences``, ``columns`` and ``rows``: one row per restorer, the cheapest first.
    """
    said: Mapping[str, Any] | None = certificate.get("arbitration")
    if said is None:
        return None
    costs: Mapping[str, float] = said["costs"]
    names = sorted(costs, key=lambda name: (costs[name], name))
    return {
        "sentences": _sentences(said),
        "columns": ARBITRATION_COLUMNS,
        "rows": [_row(name, said) for name in names],
    }


def _sentences(said: Mapping[str, Any]) -> list[str]:
    n_attempts = int(said["max_attempts"])
    tried = (
        "One restorer is tried on a doubted image, the one with the highest expected gain per cost."
        if n_attempts == 1
        else f"Up to {n_attempts} restorers are tried on a doubted image, those with the highest "
        "expected gain per cost, the cheapest first, until an answer would be accepted; of answers "
        "that would not be, the most reliable one counts."
    )
    look = f"every look after it {any_value(float(said['look_cost']))}"
    limit = (
        "there is no limit on what the attempts cost together"
        if said["max_cost"] is None
        else f"all attempts at one image may cost {any_value(float(said['max_cost']))}"
    )
    return [
        tried,
        f"Costs are declared numbers in the bundle, in passes of the classifier, never times: "
        f"restoring costs what the table says, {look}, and {limit}.",
    ]


def _row(name: str, said: Mapping[str, Any]) -> Row:
    cost = Cell(text=any_value(float(said["costs"][name])))
    found = said["cross_fitted"].get(name)
    calibrator = Cell(text=said["calibrators"].get(name))
    if found is None:
        nothing = Cell(text=None)
        return Row(
            name=name,
            note="never tried: too few looks to learn from",
            cells=(cost, nothing, nothing, nothing, nothing, calibrator),
        )
    return Row(
        name=name,
        cells=(
            cost,
            Cell(text=percent(float(found["least_gain"]))),
            Cell(text=whole(found["rows"])),
            Cell(text=whole(found["tried"])),
            Cell(text=f"{whole(found['helped'])} : {whole(found['harmed'])}"),
            calibrator,
        ),
    )
