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
from gatekeeper.service.feedback_bodies import (
    EstimateBody,
    MonitorBody,
    RegistryBody,
    RiskBody,
    TrafficTestBody,
    VersionBody,
)
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
        f"{base}/console/api/try",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
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


def send(base: str, grey: int) -> None:
    request = urllib.request.Request(  # noqa: S310  # our own loopback address
        f"{base}/v1/decide", encoded(grey=grey), {"Content-Type": "image/png"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        answer.read()


def test_labels_by_keyboard_reach_the_queue_and_the_ledger(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path))
    fake = FakeGatekeeper()
    with serving(lambda: fake, review_images=9, feedback_share=1.0) as (base, app):
        wait_until(lambda: app.state.host.bundle_id is not None)
        send(base, 10)  # abstained on; a person will say that the answer was right
        send(base, 250)  # accepted, and drawn
        review = app.state.console.capture.review
        wait_until(lambda: len(review.waiting(9)) == 2)
        first = review.waiting(1)[0].decision_id
        with a_page(browser, base, bypass_csp=True, accept_downloads=True) as (page, wrong):
            page.goto(f"{base}/console/review")
            page.wait_for_selector("#frame img")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert serious_findings(page) == [], scheme
            assert "bag" not in page.inner_text("#about")
            page.fill("#reviewer", "ann")
            page.keyboard.press("Escape")
            page.keyboard.press("s")
            for n_done in (1, 2):
                # A key counts once the next image is there, not as soon as the last one is listed.
                page.wait_for_function(
                    "n => document.getElementById('frame').dataset.shown === String(n)",
                    arg=n_done + 1,
                )
                page.keyboard.press("2")
                page.wait_for_selector(f"#done li >> nth={n_done - 1}")
            page.wait_for_selector("text=Nothing waits")
            done = page.locator("#done li").all_inner_texts()
            assert all(each.startswith("bag") and "the same" in each for each in done)
            assert sum("counts for the certificate" in each for each in done) == 1
            with page.expect_download() as download:
                page.click("text=CSV")
            rows = Path(download.value.path()).read_text().splitlines()
            assert len(rows) == 3
            assert wrong == []
        assert {item.label for item in review.all_items()} == {1}
        assert {item.reviewer for item in review.all_items()} == {"ann"}
        assert review.item(first).skipped is not None
        with urllib.request.urlopen(f"{base}/admin/monitor", timeout=20) as answer:  # noqa: S310
            risk = json.load(answer)["risk"]
        assert (risk["n_labels"], risk["n_wrong"], risk["n_others"]) == (1, 0, 1)


def test_another_bundle_is_noticed_by_its_decisions(browser: Any, base: str) -> None:
    asked: list[str] = []

    def answer(route: Any) -> None:
        told = route.fetch().json()
        if not asked:  # what was served when the page was opened
            told["versions"]["bundle"] = "0" * 64
        asked.append(route.request.url)
        route.fulfill(json=told)

    with a_page(browser, base) as (page, wrong):
        page.route("**/console/api/setup", answer)
        page.goto(f"{base}/console")
        settled(page)
        with urllib.request.urlopen(f"{base}/readyz", timeout=20) as ready:  # noqa: S310
            bundle = json.load(ready)["versions"]["bundle"]
        page.wait_for_selector(f"#identity code:text('{bundle[:12]}')")
        assert len(asked) == 2
        assert wrong == []


def version(number: int, **changes: Any) -> VersionBody:
    given = {
        "version": number,
        "uri": f"models:/gate-small/{number}",
        "bundle": str(number) * 64,
        "aliases": [],
        "certified": True,
        "golden": "passed",
        "created_ms": 1_790_000_000_000,
        "served": False,
        "refused": None,
    }
    return VersionBody(**{**given, **changes})


def registry(champion: int, **changes: Any) -> RegistryBody:
    given = {
        "model": "gate-small",
        "alias": "champion",
        "served": str(champion),
        "up": True,
        "problem": None,
        "refused": None,
        "on_probation": False,
        "versions": [
            version(3, certified=None, golden=None),
            *(
                version(each, aliases=["champion"], served=True) if each == champion
                else version(each)
                for each in (2, 1)
            ),
        ],
    }  # fmt: skip
    return RegistryBody(**{**given, **changes})


def test_versions_move_only_after_a_second_yes(browser: Any, base: str) -> None:
    asked: list[tuple[str, Any]] = []

    def answer(route: Any) -> None:
        path = route.request.url.rpartition("/admin/")[2]
        if route.request.method == "POST":
            asked.append((path, route.request.post_data_json))
        told = registry(1 if asked and path != "versions" else 2)
        route.fulfill(json=told.model_dump(mode="json"))

    with a_page(browser, base, bypass_csp=True) as (page, wrong):
        page.route("**/admin/versions**", answer)
        page.goto(f"{base}/console#versions")
        page.wait_for_selector(".versions tbody tr >> nth=2")
        assert serious_findings(page) == []
        assert page.locator(".versions th[scope=row]").all_inner_texts() == ["3", "2", "1"]
        champion = page.locator(".versions tbody tr").nth(1)
        assert champion.locator(".badge").all_inner_texts() == ["serving", "champion"]
        assert champion.locator("button").count() == 0
        assert "not looked at" in page.locator(".versions tbody tr").nth(0).inner_text()
        page.click("[data-action=promote-1]")
        page.click("text=Leave it")
        assert asked == []
        page.click("[data-action=promote-1]")
        assert "Promote version 1?" in page.inner_text("dialog[open]")
        page.click("dialog[open] .primary")
        page.wait_for_selector(".versions tbody tr:nth-child(3) .badge.good")
        page.click("[data-action=rollback]")
        with page.expect_response("**/versions/rollback"):
            page.keyboard.press("Enter")
        assert asked == [("versions/promote", {"version": 1}), ("versions/rollback", {})]
        assert wrong == []


def test_a_withdrawn_certificate_is_said_plainly(browser: Any, base: str) -> None:
    with urllib.request.urlopen(f"{base}/admin/monitor", timeout=20) as answer:  # noqa: S310
        told = MonitorBody(**json.load(answer))
    estimate = EstimateBody(value=0.71, low=0.6, high=0.8, n_images=500)
    risk = RiskBody(
        e_value=31.4, threshold=20.0, withdrawn=True, withdrawn_at=40, n_labels=44, n_wrong=9,
        n_others=3, reason="Withdrawn.",
    )  # fmt: skip
    traffic = TrafficTestBody(
        n_windows=4, n_flagged=2, window=500, p_value=0.0004, flagged=True, accuracy=estimate,
        accepted_risk=None,
    )  # fmt: skip
    told = told.model_copy(update={"risk": risk, "traffic": traffic})
    with a_page(browser, base) as (page, wrong):
        page.route(
            "**/admin/monitor", lambda route: route.fulfill(json=told.model_dump(mode="json"))
        )
        page.goto(f"{base}/console#traffic")
        page.wait_for_selector("#monitor .badge")
        text = page.inner_text("#monitor")
        assert "Withdrawn: labels show a higher risk" in text
        assert "9 wrong of 44 that count, 3 others." in text
        assert "evidence against it 31.4, withdrawn at 20.0" in text
        assert "2 of 4 windows of 500 unlike what was certified; p of the last 0.00040" in text
        assert "accuracy about 71.0" in text
        assert page.locator(".tile").filter(has_text="Estimated accuracy").inner_text().count("71")
        assert wrong == []


KEYS = """
[[keys]]
name = "ann"
sha256 = "{}"
scopes = ["infer", "metrics", "admin", "feedback"]
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
