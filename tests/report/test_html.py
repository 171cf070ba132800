from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.levels import LevelStudy, SearchOptions, fitted_process, parse_space, sobol_points
from gatekeeper.report import (
    MAX_BYTES,
    GalleryItem,
    ReportContent,
    render_report,
    write_report,
)

Maker = Callable[..., ReportContent]
VOID = {"br", "img", "meta"}


class Outline(HTMLParser):
    """Checks that tags are balanced and collects what a reader without eyes relies on."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.seen if tag in tags]


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def uncertified(make_content: Maker, **changed: Any) -> ReportContent:
    good = make_content()
    return make_content(
        summary={**good.summary, "certified": False},
        certificate={**good.certificate, "certified": False, "reason": "too few images"}
        | {"upper_bound": None},
        **changed,
    )


def test_the_page_holds_the_numbers(make_content: Maker) -> None:
    page = render_report(make_content()).replace("\u00a0", " ")
    assert "✓ CERTIFIED" in page
    assert "CANNOT CERTIFY" not in page
    for text in (
        "fashion-mnist",
        "severities 1 to 5, evenly",
        "71.2 %",
        "1,523 : 41",
        "0.944",
        "0.0341",
        "gaussian, severity 4",
        "Restoration turned a wrong answer into a right one.",
        "autoencoder: Sneaker, reliability 97.1 %",
        "signals left their declared range",
        "sha256:0123abcd",
        "gatekeeper demo --seed 0",
        "versions · torch",
        "thresholds · accept raw at",
    ):
        assert text in page, text


def test_the_uncertified_page_says_so(make_content: Maker) -> None:
    page = render_report(uncertified(make_content)).replace("\u00a0", " ")
    assert "✕ CANNOT CERTIFY" in page
    assert "✓ CERTIFIED" not in page
    assert "at its certified thresholds" not in page
    assert "wrong at most 5 % of the time: too few images." in page


def test_the_page_needs_nothing_else(make_content: Maker) -> None:
    page = render_report(make_content())
    seen = outline(page)
    assert seen.all("script", "link", "iframe", "object", "base") == []
    for attrs in seen.all(*{tag for tag, _ in seen.seen}):
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "xlink:href", "action"):
            assert (attrs.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", page))
    assert re.search(r"https?:", page) is None
    assert "@import" not in page


def test_headings_tables_and_pictures_are_named(make_content: Maker) -> None:
    seen = outline(render_report(make_content()))
    levels = [int(tag[1]) for tag, _ in seen.seen if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(seen.all("table")) == len(seen.all("caption")) == 5
    assert all(attrs.get("scope") in {"row", "col"} for attrs in seen.all("th"))
    assert all(attrs["alt"] for attrs in seen.all("img"))
    ids = [attrs["id"] for _, attrs in seen.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    drawings = [attrs for attrs in seen.all("svg") if attrs.get("role") == "img"]
    assert len(drawings) == 3
    for attrs in drawings:
        assert set(str(attrs["aria-labelledby"]).split()) <= set(ids)
    targets = {str(attrs["href"])[1:] for attrs in seen.all("a")}
    assert targets <= set(ids)


def test_names_of_users_are_escaped_everywhere(
    make_content: Maker,
    make_item: Callable[..., GalleryItem],
    make_block: Callable[..., dict[str, Any]],
) -> None:
    evil = "<script>alert('x')</script>\"&"
    good, item = make_content(), make_item()
    attempts = [{"restorer": evil, "class_name": evil, "reliability": 0.5}]
    decision = {**item.decision, "class_name": evil, "attempts": attempts}
    content = make_content(
        summary={**good.summary, "dataset": evil, "families": {evil: make_block()}}
        | {"flags": {"open": {"flagged": True, "reason": evil}}},
        certificate={**good.certificate, "conditions": [evil], evil: evil},
        curves={evil: good.curves["open"]},
        diagrams={evil: good.diagrams["declared"]},
        gallery=[make_item(corruption=evil, truth=evil, verdict=evil, decision=decision)],
        lineage={evil: evil},
        held_out=[evil],
    )
    page = render_report(content)
    assert "<script" not in page
    assert "alert('x')" not in page
    assert page.count("&lt;script&gt;") >= 16
    assert outline(page).all("script") == []


def test_undefined_metrics_are_a_dash_that_is_explained(
    make_content: Maker, make_block: Callable[..., dict[str, Any]]
) -> None:
    good = make_content()
    nothing = make_block(
        n_accepted=0, n_wrong_accepted=0, selective_risk=None, coverage_at_risk=None, aurc=None
    )
    content = make_content(summary={**good.summary, "open": nothing})
    page = render_report(content)
    dash = '<span aria-hidden="true">–</span><span class="hidden">not defined</span>'
    assert dash not in render_report(good)
    assert page.count(dash) == 6  # risk, three coverages at risk, two AURC
    assert "None" not in page
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page)
    assert page.count('<circle class="point"') == render_report(good).count('"point"') - 1


def test_a_report_without_pictures_curves_or_families(make_content: Maker) -> None:
    good = make_content()
    page = render_report(
        make_content(
            summary={**good.summary, "families": {}},
            curves={},
            diagrams={},
            gallery=[],
            held_out=[],
        )
    )
    outline(page)
    assert "This report was made without images." in page
    assert "No corruption was judged by itself." in page


def test_same_content_same_bytes(make_content: Maker) -> None:
    assert render_report(make_content()) == render_report(make_content())


def test_the_curve_is_drawn_where_it_was_computed(make_content: Maker) -> None:
    content = make_content()
    risk = float(content.curves["declared"]["policy"].selective_risk[-1])
    page = render_report(content)
    last = re.search(r'class="line policy" points="[^"]*?([\d.]+),([\d.]+)"', page)
    assert last is not None
    assert float(last[1]) == 456
    highest = re.findall(r'<text class="end soft"[^>]*>([\d.]+)\u00a0%', page.split("rc2")[0])[-1]
    assert float(last[2]) == pytest.approx(254 - 240 * risk / (float(highest) / 100), abs=0.01)


def test_written_file_is_small_and_utf8(make_content: Maker, tmp_path: Path) -> None:
    content = make_content(n=10_000)
    write_report(tmp_path / "report.html", content)
    written = (tmp_path / "report.html").read_bytes()
    assert written.decode("utf-8") == render_report(content)
    assert len(written) < 200_000


def test_a_report_that_is_too_large_is_refused_with_its_sizes(
    make_content: Maker, make_item: Callable[..., GalleryItem], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    content = make_content(gallery=[make_item(original=noise, restored=noise)] * 25)
    message = rf"below {MAX_BYTES:,} bytes, got 2,\d{{3}},\d{{3}}, of which 2,\d{{3}},\d{{3}} are"
    with pytest.raises(InputError, match=message):
        write_report(tmp_path / "report.html", content)
    assert list(tmp_path.iterdir()) == []


def test_levels_are_drawn_where_the_predictor_reads_them(make_content) -> None:
    without = render_report(make_content())
    assert 'id="levels"' not in without
    assert ".boundary" not in without
    study = a_study()
    page = render_report(make_content(levels=study))
    assert '<a href="#levels">Levels</a>' in page
    assert page.count('id="level-map') == 2 * 3  # title and description of each pair
    assert "level-line" not in page
    assert "accuracy of 90 %" in page.replace("\u00a0", " ").replace("&nbsp;", " ")
    assert page.count('class="boundary"') == 3


def test_one_coordinate_is_drawn_as_its_profile(make_content) -> None:
    page = render_report(make_content(levels=a_study(space="noise_sigma=0:0.3")))
    assert 'id="level-line1-title"' in page
    assert "level-map" not in page


def a_study(space: str = "rotation=-60:60,brightness=0.4:1.6,noise_sigma=0:0.3") -> LevelStudy:
    """Accuracy falls with the square of the distance from the mildest level."""
    levels = parse_space(space)
    points = sobol_points(levels.dimension, 40, seed=0)
    counts = 200 * (0.98 - 1.2 * ((points - levels.mildest) ** 2).sum(axis=1)).clip(0)
    n_correct = counts.round().astype(int)
    return LevelStudy(
        space=levels,
        options=SearchOptions(threshold=0.9, budget=40),
        n_images=200,
        points=points,
        n_correct=n_correct,
        n_evaluated=40,
        process=fitted_process(points, n_correct, 200),
    )
