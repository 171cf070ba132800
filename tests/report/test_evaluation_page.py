"""What the page of an evaluation says, against the record that it was made from."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.report import (
    MAX_BYTES,
    EvaluationContent,
    gallery_of,
    render_evaluation,
    write_evaluation,
)
from gatekeeper.report.evaluation_page import _curve_views, _oracle
from gatekeeper.report.numbers import percent
from tests.report.test_html import outline


@pytest.fixture(scope="module")
def page(evaluation_content: EvaluationContent) -> str:
    return render_evaluation(evaluation_content)


def test_page_one_has_the_verdict_and_every_requirement(page: str) -> None:
    first = page[: page.index('id="images"')]
    assert "✕ FAIL" in first
    assert "gate misses 1 of 3 stated requirements." in first
    assert first.count("✓ yes") == 2
    assert first.count("✕ no") == 1
    for text in ("Accuracy if nothing abstained, at least", "held-out families", "Not covered"):
        assert text in first
    assert "120 images of digits, 28×28 px" in first
    assert "accepted answers wrong at most 10\u00a0% of the time" in first


def test_numbers_on_the_page_are_those_of_the_figures(
    page: str, evaluation_content: EvaluationContent
) -> None:
    evaluation = evaluation_content.evaluation
    for method, scope, metric in (
        ("policy", "declared", "risk"),
        ("msp", "all", "accuracy"),
        ("policy", "held_out", "coverage"),
    ):
        assert percent(evaluation.figure("gate", method, scope, metric).value) in page
    mce = evaluation.figure("gate", "policy", "all", "mce")
    assert f"{mce.value:.3f}" in page
    help_share = evaluation.figure("gate", "policy", "all", "help")
    harm_share = evaluation.figure("gate", "policy", "all", "harm")
    counts = [round(each.value * each.n_rows) for each in (help_share, harm_share)]
    assert f"{counts[0]:,} : {counts[1]:,}" in page


def test_the_page_is_well_formed_self_contained_and_escaped(page: str) -> None:
    parsed = outline(page)
    identifiers = [attrs["id"] for _, attrs in parsed.seen if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    targets = {attrs["href"] for attrs in parsed.all("a")}
    assert targets <= {f"#{name}" for name in identifiers}
    assert all(image["alt"] for image in parsed.all("img"))
    assert not parsed.all("script", "link", "iframe")
    assert re.findall(r"https?://", page) == []
    assert "a/bundle &lt;plain&gt;" in page
    assert all("scope" in attrs for attrs in parsed.all("th"))


def test_the_same_content_gives_the_same_small_page(
    page: str, evaluation_content: EvaluationContent, tmp_path: Path
) -> None:
    assert render_evaluation(evaluation_content) == page
    path = tmp_path / "page.html"
    write_evaluation(path, evaluation_content)
    assert path.read_text(encoding="utf-8") == page
    assert path.stat().st_size < MAX_BYTES


def test_a_classifier_alone_has_a_page_too(evaluation_content: EvaluationContent) -> None:
    evaluation, record = evaluation_content.evaluation, evaluation_content.record
    alone = replace(evaluation, subjects=evaluation.subjects[1:], comparisons=())
    content = EvaluationContent(
        evaluation=alone,
        record={**record, "models": record["models"][1:], "candidate": "plain",
                "requirements": [], "verdict": "NOT JUDGED", "comparisons": []},
        gallery=gallery_of(alone, per_kind=2),
    )  # fmt: skip
    page = render_evaluation(content)
    assert "NOT JUDGED" in page
    assert "nothing was required of it" in page
    assert "no gate was evaluated" in page
    assert 'id="models"' not in page
    assert len(content.gallery) == 2
    assert all(item.restored is None for item in content.gallery)


def test_a_record_of_other_models_is_refused(evaluation_content: EvaluationContent) -> None:
    record = {**evaluation_content.record, "models": evaluation_content.record["models"][:1]}
    with pytest.raises(InputError, match="record of gate, plain"):
        EvaluationContent(evaluation=evaluation_content.evaluation, record=record, gallery=())


def test_the_oracle_accepts_right_answers_first() -> None:
    curve = _oracle(0.25)
    at_full = curve.selective_risk[-1]
    assert at_full == pytest.approx(0.25)
    assert curve.selective_risk[curve.coverage <= 0.75].max() == pytest.approx(0.0, abs=1e-12)
    half_way = np.interp(0.875, curve.coverage, curve.selective_risk)
    assert half_way == pytest.approx(0.125 / 0.875, abs=1e-4)
    for error in (0.0, 1.0, 0.9999):
        assert _oracle(error).selective_risk[-1] == pytest.approx(error)


def test_every_curve_ends_at_the_error_of_its_answers(
    evaluation_content: EvaluationContent,
) -> None:
    evaluation = evaluation_content.evaluation
    views = _curve_views(evaluation)
    assert [view["title"] for view in views] == [
        "Clean images", "Declared traffic", "Held-out families", "All corruptions",
    ]  # fmt: skip
    for view, scope in zip(views, ("clean", "declared", "held_out", "all"), strict=True):
        frame = view["chart"].frame
        for line in view["chart"].lines:
            if line.method in ("oracle", "random"):
                continue
            error = 1 - evaluation.figure("gate", line.method, scope, "accuracy").value
            last = line.points.split(" ")[-1]
            x, y = (float(part) for part in last.split(","))
            assert (x, y) == pytest.approx((frame.x(1.0), frame.y(error)), abs=0.01)
