"""Both pages as a reader opens them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.report import ReportContent, write_evaluation, write_report
from tests.report.browser import a_browser, opened, serious_findings


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with a_browser() as started:
        yield started


@pytest.fixture(params=["report", "evaluation"])
def page_file(
    request: pytest.FixtureRequest,
    browser: Any,  # first of all: without one nothing is worth being made
    tmp_path: Path,
    make_content: Callable[..., ReportContent],
) -> Path:
    path = tmp_path / "page.html"
    if request.param == "report":
        write_report(path, make_content())
    else:
        write_evaluation(path, request.getfixturevalue("evaluation_content"))
    return path


def test_a_page_opens_offline_in_silence_and_is_accessible(browser: Any, page_file: Path) -> None:
    # axe-core is run by a script, which the page's own policy rightly forbids.
    with opened(browser, page_file, bypass_csp=True) as (page, said):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert serious_findings(page) == [], scheme
        assert said == []


def test_a_page_fits_a_phone_follows_the_keyboard_and_prints(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file, viewport={"width": 390, "height": 800}) as (page, said):
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.getAttribute('href')")
        assert focused == "#verdict"
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#verdict"
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert page.pdf(format="A4").startswith(b"%PDF")
        assert said == []
