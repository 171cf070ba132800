from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from gatekeeper.batch.page import render_batch
from gatekeeper.batch.summary import Tally


@pytest.fixture
def summary(facts):
    return {
        **Tally(facts).to_json(),
        "engine": "local",
        "shard": "1/1",
        "left_out": 0,
        "input": "d" * 64,
        "seconds": 2.0,
        "computed_now": 10,
        "images_per_second": 5.0,
    }


class Structure(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "rect", "path", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in {"rect", "path"}:
            assert self.open.pop() == tag


def with_counts(summary, **changes):
    body = {**summary, "n_images": 10, "n_decided": 8, "n_accepted": 6, "n_abstained": 2}
    body |= {"n_errors": 2, "coverage": 0.75, "expected_accuracy": 0.99, "failure_rate": 0.2}
    body |= {"reasons": {"GK100": 6, "GK220": 2}, "errors": {"truncated": 2}}
    return {**body, "reliability_histogram": [*[0] * 19, 8], **changes}


def test_the_page_says_what_came_of_it(summary):
    page = render_batch(with_counts(summary), {"command": "gatekeeper batch x"})
    text = page.replace("\u00a0", " ")
    assert "6 of 8 answers were accepted (75.0 %), 2 are for people. 2 of 10 files" in text
    assert "✓ Decided by a certified policy" in text
    assert "wrong at most 5 % of the time, at 95 % confidence" in text
    assert "GK220 The answer is still doubtful after restoration." in text
    assert "gatekeeper batch x" in text
    Structure().feed(page)


def test_it_is_one_file_without_network_or_script(summary):
    page = render_batch(with_counts(summary), {})
    assert not re.search(r"(?:src|href)=|@import|url\(|<script", page)
    assert len(page.encode()) < 100_000


def test_names_of_files_are_escaped(summary):
    hostile = '<img src=x onerror="1">.png'
    example = {"path": hostile, "error": "truncated", "error_text": "<b>"}
    page = render_batch(with_counts(summary, error_examples=[example]), {})
    assert hostile not in page
    assert "&lt;img src=x onerror=&#34;1&#34;&gt;.png" in page


def test_no_image_decided_and_no_certificate(summary, facts):
    certificate = {"certified": False, "reason": "too few images", "target_risk": 0.05,
                   "confidence_level": 0.95}  # fmt: skip
    page = render_batch({**summary, "n_images": 3, "certificate": certificate}, {})
    assert "None of 3 images could be decided." in page
    assert "✕ Decided by a policy without a certificate" in page
    assert "holds no certificate: too few images" in page


def test_images_unlike_those_of_the_certificate_are_no_good_news(summary):
    body = with_counts(summary, expected_accuracy=0.792, below_certificate=True)
    page = render_batch(body, {}).replace("\u00a0", " ")
    assert "✕ Images unlike those that were certified" in page
    assert "expected to be right 79.2 % of the time only" in page
    assert 'class="banner good"' not in page


def test_the_highest_bar_fills_the_drawing(summary):
    page = render_batch(with_counts(summary), {})
    heights = [float(each) for each in re.findall(r'class="bar".*?height="([\d.]+)"', page)]
    assert (len(heights), heights[-1], sum(heights[:-1])) == (20, 140.0, 0.0)
