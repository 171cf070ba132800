"""Pages in a real browser: offline, no console message, nothing serious found by axe-core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path(os.environ.get("GATEKEEPER_CHROMIUM", "/usr/bin/chromium"))
REQUIRED = os.environ.get("GATEKEEPER_REQUIRE_BROWSER") == "1"


def require_browser() -> None:
    """Skip, with the reason, where there is no browser; fail where one is required."""
    reason = None
    try:
        import axe_playwright_python  # noqa: F401
        import playwright  # noqa: F401
    except ImportError as error:
        reason = f"{error.name} is not installed"
    if reason is None and not CHROMIUM.is_file():
        reason = f"no browser at {CHROMIUM}"
    if reason is not None:
        (pytest.fail if REQUIRED else pytest.skip)(reason)


@contextmanager
def a_browser() -> Iterator[Any]:
    """A headless Chromium that was there already; nothing is downloaded."""
    require_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def opened(browser: Any, path: Path, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page that was opened from disk, without network, and what its console said."""
    context = browser.new_context(offline=True, **options)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(f"failed: {request.url[:80]}"))
    page.goto(path.as_uri())
    yield page, said
    context.close()


def serious_findings(page: Any) -> list[str]:
    """What axe-core calls serious or critical, one line each."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]
