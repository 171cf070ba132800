"""The console as people use it: a headless Chromium against a running service."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gatekeeper.pipeline import Gatekeeper
from tests.report.browser import a_browser, serious_findings
from tests.service.conftest import FakeGatekeeper, encoded, wait_until
from tests.service.console.serving import a_page, serving

PHONE = {"width": 390, "height": 800}
TABS = ("try", "traffic", "versions", "reports")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with a_browser() as started:
        yield started


@pytest.fixture(scope="module")
def base(browser: Any, gatekeeper: Gatekeeper) -> Iterator[str]:
    with serving(lambda: gatekeeper) as (address, app):
        wait_until(lambda: app.state.host.bundle_id is not None)
        app.state.console.traffic.look()
        yield address


def ask(base: str, **body: Any) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310  # our own loopback address
        f"{base}/console/api/try", json.dumps(body).encode()
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        return json.load(answer)


def settled(page: Any) -> int:
    """Wait until what is shown is what was asked last; how many answers were shown so far."""
    page.wait_for_selector("#result[data-count][aria-busy='false']")
    return int(page.get_attribute("#result", "data-count"))


def move(page: Any, act: Any) -> None:
    """Do something that asks again, and wait for its answer."""
    before = settled(page)
    act()
    page.wait_for_function(
        "n => Number(document.getElementById('result').dataset.count) > n", arg=before
    )
    settled(page)


def test_the_slider_shows_what_the_gate_decides_at_each_severity(browser: Any, base: str) -> None:
    with a_page(browser, base) as (page, wrong):
        page.goto(f"{base}/console")
        settled(page)
        move(page, page.get_by_role("button", name="Sample 2", exact=True).click)
        move(page, lambda: page.select_option("#corruption", "impulse"))
        page.locator("#severity").focus()
        for severity in (4, 5):
            move(page, lambda: page.keyboard.press("ArrowRight"))
            assert page.inner_text("#severity-shown") == str(severity)
            told = ask(base, sample=1, corruption="impulse", severity=severity)
            decision = told["decision"]
            assert page.inner_text("#verdict h2") == f"Accept: {decision['class_name']}"
            assert decision["reason"] in page.inner_text("#verdict")
            assert page.locator("#looks li").count() == len(decision["attempts"]) == 2
            shown = page.locator("#looks img")
            assert shown.nth(0).get_attribute("src") == told["received"]
            assert shown.nth(1).get_attribute("src") == told["restored"][1]
        rows = page.locator("#timings th").all_inner_texts()
        assert "restoration and second look" in rows
        assert rows[-2:] == ["network and browser", "in all"]
        page.wait_for_selector("#sweep circle >> nth=5")
        move(page, page.locator("#sweep circle").nth(1).click)
        assert page.input_value("#severity") == "1"
        assert wrong == []


def test_an_image_of_ones_own_and_one_that_is_none(
    browser: Any, base: str, gatekeeper: Gatekeeper
) -> None:
    ramp = Image.linear_gradient("L").resize((90, 60))
    out = BytesIO()
    ramp.save(out, "PNG")
    with a_page(browser, base) as (page, wrong):
        page.goto(f"{base}/console")
        settled(page)
        upload = {"name": "ramp.png", "mimeType": "image/png", "buffer": out.getvalue()}
        move(page, lambda: page.set_input_files("#file", upload))
        told = ask(base, image=base64.b64encode(out.getvalue()).decode())
        assert page.locator("#looks img").nth(0).get_attribute("src") == told["received"]
        # The size of what was sent comes back once; later moves send the small image.
        move(page, lambda: page.select_option("#corruption", "dark"))
        sent = ask(base, image=told["original"].split(",")[1], corruption="dark", severity=3)
        assert page.locator("#looks img").nth(0).get_attribute("src") == sent["received"]
        assert wrong == []
        upload = {"name": "text.png", "mimeType": "image/png", "buffer": b"no image"}
        page.set_input_files("#file", upload)
        page.wait_for_selector("#problem:not([hidden])")
        assert "expected one of JPEG, PNG, WEBP" in page.inner_text("#problem")


@pytest.mark.parametrize("path", [*(f"console#{tab}" for tab in TABS), "console/review"])
def test_every_page_is_accessible_in_light_and_dark_and_fits_a_phone(
    browser: Any, base: str, path: str
) -> None:
    # axe-core is run by a script, which the page's own policy rightly forbids.
    with a_page(browser, base, bypass_csp=True, viewport=PHONE) as (page, wrong):
        page.goto(f"{base}/{path}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert serious_findings(page) == [], scheme
        assert wrong == []


def test_tabs_follow_the_keyboard_and_tell_where_one_is(browser: Any, base: str) -> None:
    with a_page(browser, base) as (page, wrong):
        page.goto(f"{base}/console")
        settled(page)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        for _ in range(3):  # brand, the first tab, the second
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("#chart-decisions canvas")
        assert page.inner_text("[aria-current]") == "Traffic"
        assert page.is_hidden("#tab-try")
        assert page.title() == "Traffic – gatekeeper console"
        assert "newest: accepted" in page.get_attribute("#chart-decisions", "aria-label")
        page.goto(f"{base}/console#reports")
        page.wait_for_selector("#reports-body a")
        with page.context.expect_page() as opened:
            page.click("#reports-body a")
        report = opened.value
        assert "Certified" in report.title()
        # Styles of the report apply under its own policy.
        banner = "getComputedStyle(document.querySelector('.banner')).borderLeftWidth"
        assert report.evaluate(banner) == "8px"
        assert wrong == []


KEYS = """
[[keys]]
name = "ann"
sha256 = "{}"
scopes = ["infer", "metrics"]
rate_per_s = 1000.0
burst = 1000
"""


def test_a_key_is_asked_for_kept_in_memory_and_sent_as_a_header(
    browser: Any, tmp_path: Path
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(KEYS.format(hashlib.sha256(b"open sesame").hexdigest()))
    fake = FakeGatekeeper()
    with serving(lambda: fake, keys_file=str(path)) as (base, app):
        wait_until(lambda: app.state.host.bundle_id is not None)
        with a_page(browser, base) as (page, wrong):
            page.goto(f"{base}/console")
            upload = {"name": "white.png", "mimeType": "image/png", "buffer": encoded()}
            page.wait_for_selector("#identity .badge, #key-dialog[open]")
            if page.is_hidden("#key-dialog"):
                page.set_input_files("#file", upload)
                page.wait_for_selector("#key-dialog[open]")
            assert "expected a key" in page.inner_text("#key-why")
            page.fill("#key", "open sesame")
            page.click("text=Use it")
            page.wait_for_selector("#identity .badge")
            page.set_input_files("#file", upload)
            settled(page)
            assert page.inner_text("#verdict h2") == "Accept: bag"
            kept = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
            assert kept == '[{},{},""]'
            assert page.input_value("#key") == ""
            assert "sesame" not in page.content()
            assert "sesame" not in page.url
            # The browser itself notes each refusal; nothing else happened.
            assert all("401" in each for each in wrong)
