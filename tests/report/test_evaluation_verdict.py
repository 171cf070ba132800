"""Page one of an evaluation, sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.evaluation.requirements import _METRIC_OF
from gatekeeper.report.evaluation_verdict import (
    REQUIREMENT_TITLES,
    banner,
    certificate_lines,
    data_lines,
    not_covered_lines,
    requirement_rows,
)


def required(**changes: Any) -> dict[str, Any]:
    return {
        "requirement": "max_risk",
        "scope": "declared",
        "limit": 0.05,
        "value": 0.04,
        "judged": 0.061,
        "met": False,
        "reason": "",
    } | changes


def a_record(**changes: Any) -> dict[str, Any]:
    return {
        "verdict": "FAIL",
        "candidate": "demo",
        "requirements": [required(), required(met=True)],
        "data": {
            "name": "digits",
            "n_images": 1_200,
            "image_size": [28, 30],
            "which": "the official test part",
            "licence": "free",
        },
        "conditions": [["", 0], ["fog", 1], ["fog", 5], ["snow", 1], ["snow", 5]],
        "held_out": ["fog"],
        "models": [],
    } | changes


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_banner_counts() -> None:
    assert banner(a_record()) == ("bad", "demo misses 1 of 2 stated requirements.")
    met = [required(met=True)]
    style, text = banner(a_record(verdict="PASS", requirements=met))
    assert (style, text) == ("good", "demo meets the stated requirement on these images.")
    text = banner(a_record(verdict="PASS", requirements=met * 3))[1]
    assert "all 3 stated requirements" in text
    assert banner(a_record(verdict="NOT JUDGED", requirements=[]))[0] == "open"


def test_every_requirement_has_a_title() -> None:
    assert set(REQUIREMENT_TITLES) == set(_METRIC_OF)


def test_requirements_show_the_limit_the_value_and_what_was_judged() -> None:
    rows = requirement_rows(
        a_record(
            requirements=[
                required(),
                required(requirement="max_mce", scope="all", limit=0.75, value=0.7, judged=0.71),
                required(value=None, judged=None, reason="this scope was not evaluated"),
            ]
        )
    )
    first = rows[0]
    assert (first.title, first.scope) == ("Wrong among accepted, at most", "declared traffic")
    assert [plain(text) for text in (first.limit, first.value.text, first.judged.text)] == [
        "5 %", "4.0 %", "6.1 %",
    ]  # fmt: skip
    assert (rows[1].limit, rows[1].value.text) == ("0.75", "0.700")
    assert rows[2].value.text is None
    assert rows[2].judged.note == "this scope was not evaluated"


CHECK = {
    "certified": True,
    "target_risk": 0.05,
    "confidence_level": 0.95,
    "conditions": ["half clean", "severities 1 to 5"],
    "n_accepted": 1_000,
    "n_wrong": 70,
    "risk": 0.07,
    "low": 0.055,
    "high": 0.088,
}


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ("kept", "The certificate was kept: on the declared traffic, each image once, 70 of 1,000"),
        ("not contradicted", "The certificate is not contradicted: on"),
        ("exceeded", "THE CERTIFICATE WAS EXCEEDED: on"),
    ],
)
def test_a_certificate_is_told_with_what_its_traffic_showed(outcome: str, text: str) -> None:
    model = {"name": "demo", "certificate": {**CHECK, "outcome": outcome}}
    promise, seen = (plain(line) for line in certificate_lines(a_record(models=[model])))
    assert "wrong at most 5 % of the time, at a confidence level of 95 %" in promise
    assert "half clean; severities 1 to 5" in promise
    assert text in seen
    assert "(7.0 %; exact 95 % interval 5.5 % – 8.8 %)" in seen


def test_without_a_certificate_nothing_is_promised() -> None:
    refused = {k: v for k, v in CHECK.items() if k not in ("risk", "low", "high")}
    refused |= {"certified": False, "outcome": "not certified"}
    lines = certificate_lines(a_record(models=[{"name": "demo", "certificate": refused}]))
    assert lines == ("demo: The gate holds no certificate.",)
    nothing = certificate_lines(a_record(models=[{"name": "x", "certificate": None}]))
    assert "no gate was evaluated" in nothing[0]


def test_data_and_limits_are_told() -> None:
    text = " ".join(data_lines(a_record()))
    assert "1,200 images of digits, 28×30 px." in text
    assert "each of 2 corruptions at severity 1, 5: 6,000 looks" in text
    assert "held-out families: fog" in text
    assert "measurements, not promises" in not_covered_lines(a_record())[0]
    unknown = a_record(held_out=None)
    unknown["data"]["which"] = "all images; whether … is not known"
    assert "in training is not known" in not_covered_lines(unknown)[0]
    assert "promises" not in " ".join(not_covered_lines(unknown))
