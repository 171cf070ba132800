"""What the report says of an arbiter: costs, limits and what was tried, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gatekeeper.report import ReportContent, render_report
from gatekeeper.report.arbitration import ARBITRATION_COLUMNS, arbitration_view
from gatekeeper.report.tables import Row


def said(**changed: Any) -> dict[str, Any]:
    arbitration = {
        "costs": {"unet": 4.0, "median": 0.5, "autoencoder": 0.5},
        "look_cost": 2.0,
        "max_attempts": 2,
        "max_cost": 7.5,
        "least_gain": {"median": 0.02, "unet": 0.0},
        "cross_fitted": {
            "median": {
                "rows": 1500,
                "least_gain": 0.02,
                "tried": 1200,
                "helped": 400,
                "harmed": 12,
            },
            "unet": {"rows": 900, "least_gain": 0.0, "tried": 9, "helped": 0, "harmed": 0},
        },
        "never_tried": ["autoencoder"],
        "calibrators": {"median": "own", "unet": "pooled", "autoencoder": "pooled"},
        "least_rows_per_calibrator": 200,
    }
    return {"arbitration": arbitration | changed}


def texts(row: Row) -> list[str | None]:
    return [None if c.text is None else c.text.replace("\u00a0", " ") for c in row.cells]


def test_one_row_per_restorer_the_cheapest_first() -> None:
    view = arbitration_view(said())
    assert view is not None
    assert [row.name for row in view["rows"]] == ["autoencoder", "median", "unet"]
    never, median, unet = view["rows"]
    assert never.note == "never tried: too few looks to learn from"
    assert texts(never) == ["0.5", None, None, None, None, "pooled"]
    assert texts(median) == ["0.5", "2.0 %", "1,500", "1,200", "400 : 12", "own"]
    assert texts(unet) == ["4", "0 %", "900", "9", "0 : 0", "pooled"]
    assert all(len(row.cells) == len(ARBITRATION_COLUMNS) for row in view["rows"])


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {},
            (
                "Up to 2 restorers",
                "every look after it 2, and all attempts at one image may cost 7.5",
            ),
        ),
        ({"max_attempts": 1, "max_cost": None}, ("One restorer is tried", "there is no limit")),
    ],
)
def test_the_limits_are_told(changed: dict[str, Any], expected: tuple[str, ...]) -> None:
    view = arbitration_view(said(**changed))
    assert view is not None
    for text in expected:
        assert text in " ".join(view["sentences"])


def test_the_page_has_the_section_only_with_an_arbiter(
    make_content: Callable[..., ReportContent],
) -> None:
    plain = make_content()
    assert arbitration_view(plain.certificate) is None
    assert "Which restorers are tried" not in render_report(plain)
    page = render_report(make_content(certificate={**plain.certificate, **said()}))
    assert page.count('href="#arbitration"') == page.count('id="arbitration"') == 1
    assert "1,200" in page
    # The section says it: the list of the certificate's details does not say it again.
    assert "arbitration · costs" not in page
